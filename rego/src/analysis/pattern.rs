//! Finds the parts of a regular expression that the engine lacks or reads differently than OPA.
//!
//! The engine's patterns have no tables of Unicode: `\d`, `\w` and `(?i)` do not compile there, and a call with such a
//! pattern is undefined, so that a rule that forbids never holds. Other forms mean something else in OPA's RE2. The scan
//! refuses both by their form, because another crate of a program may bring the tables. The compiler refuses the rest.

use regex::RegexBuilder;

use crate::limits;

/// Names of `[[:name:]]`, which are classes of ASCII in both.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Returns the first part of a pattern that the engine cannot compile or reads differently than OPA.
pub(super) fn unsupported(pattern: &str) -> Option<String> {
    let compiled = || RegexBuilder::new(pattern).size_limit(limits::REGEX_BYTES).build();
    unsupported_form(pattern).or_else(|| compiled().is_err().then(|| pattern.to_owned()))
}

fn unsupported_form(pattern: &str) -> Option<String> {
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(first) = rest.chars().next() {
        let behind = rest.get(first.len_utf8()..).unwrap_or_default();
        let refused = |chars: usize| Some(rest.chars().take(chars).collect());
        rest = match first {
            '\\' => {
                let Some(escaped) = behind.chars().next().filter(|escaped| is_escape(*escaped, in_class))
                else {
                    return refused(2);
                };
                let behind = behind.get(escaped.len_utf8()..).unwrap_or_default();
                if escaped == 'x' { behind.trim_start_matches('{') } else { behind }
            }
            '[' if in_class => {
                let Some(behind) = behind_named_class(behind) else { return refused(2) };
                behind
            }
            '[' => {
                in_class = true;
                let behind = behind.strip_prefix('^').unwrap_or(behind);
                behind.strip_prefix(']').unwrap_or(behind)
            }
            ']' => {
                in_class = false;
                behind
            }
            '&' | '-' | '~' if in_class && behind.starts_with(first) => return refused(2),
            '(' if !in_class && !is_group(behind) => {
                return Some(rest.split_inclusive([':', ')', '>']).next().unwrap_or(rest).to_owned());
            }
            '{' if !in_class && !is_repetition(behind) => {
                return Some(rest.split_inclusive('}').next().unwrap_or(rest).to_owned());
            }
            _ => behind,
        };
    }
    None
}

/// Returns whether both dialects read an escape alike. Signs stand for themselves, except for the word edges `\<` and `\>`.
fn is_escape(escaped: char, in_class: bool) -> bool {
    match escaped {
        'n' | 't' | 'r' | 'f' | 'v' | 'a' | 'x' => true,
        'A' | 'z' => !in_class,
        '<' | '>' => false,
        other => other.is_ascii() && !other.is_ascii_alphanumeric(),
    }
}

fn behind_named_class(behind: &str) -> Option<&str> {
    let (name, behind) = behind.strip_prefix(':')?.split_once(":]")?;
    CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)).then_some(behind)
}

/// Returns whether a group has a name, or flags that both dialects know. The flag `i` needs tables, `x` is unknown to RE2.
fn is_group(behind: &str) -> bool {
    let Some(behind) = behind.strip_prefix('?') else { return true };
    let flags = behind.split([':', ')']).next().unwrap_or_default();
    behind.starts_with("P<") || behind.starts_with('<') || flags.chars().all(|flag| "smU-".contains(flag))
}

/// Returns whether `{` begins a repetition. RE2 reads every other `{` as itself, and the engine skips spaces.
fn is_repetition(behind: &str) -> bool {
    behind.split_once('}').is_some_and(|(counts, _)| {
        counts.starts_with(|first: char| first.is_ascii_digit())
            && counts.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_both_read_alike_is_taken() {
        for pattern in [
            "",
            "^/users/[0-9]+$",
            r"\.example\.(com|org)\z",
            "(?P<a>b)(?<c>d)(?:e)(?s:.)(?m)^",
            "[]a][^]a-][-a][[:alpha:][:^digit:]][&~a-z]",
            r"a{2}b{2,}c{2,3}?[{]\{\x41\x{e9}\-\[",
            "日本?",
            r"[\]&][^\n\t]",
        ] {
            assert_eq!(unsupported(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn a_form_that_the_engine_lacks_or_reads_in_another_way_is_found() {
        for (pattern, part) in [
            (r"^/users/\d+$", r"\d"),
            (r"\w", r"\w"),
            (r"[\s]", r"\s"),
            (r"\bx", r"\b"),
            (r"\D", r"\D"),
            (r"\W", r"\W"),
            (r"\S", r"\S"),
            (r"\pL", r"\p"),
            (r"\P{Greek}", r"\P"),
            (r"a\Q.\E", r"\Q"),
            (r"\101", r"\1"),
            (r"\C", r"\C"),
            (r"\<a\>", r"\<"),
            (r"a\>", r"\>"),
            (r"\u0041", r"\u"),
            (r"\é", r"\é"),
            ("a\\", "\\"),
            ("(?i)a", "(?i)"),
            ("(?i:a)", "(?i:"),
            ("(?si)a", "(?si)"),
            ("(?x) a", "(?x)"),
            ("(?-u)a", "(?-u)"),
            ("[[a]", "[a"),
            ("[[:foo:]]", "[:"),
            ("[a-c&&b-d]", "&&"),
            ("[a--b]", "--"),
            ("[a~~b]", "~~"),
            ("a{,2}", "{,2}"),
            ("a{ 2}", "{ 2}"),
            ("{", "{"),
            ("a{", "{"),
            ("(", "("),
            ("[a", "[a"),
            ("*", "*"),
            ("(a{1000}){1000}", "(a{1000}){1000}"),
        ] {
            assert_eq!(unsupported(pattern).as_deref(), Some(part), "{pattern}");
        }
    }
}
