//! Reports of a document's faults for people: the fault, its place in the text, and the correction.

use std::io::IsTerminal;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use weir_policy::{Fault, Faults};

/// Whether a report is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// With the terminal's colours.
    Coloured,
}

impl Style {
    /// Coloured if stderr is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
    #[must_use]
    pub fn for_stderr() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && std::io::stderr().is_terminal() { Self::Coloured } else { Self::Plain }
    }
}

// The length of the longest line that is shown. A longer one, such as JSON without line breaks, would bury the fault.
const LONGEST_LINE: usize = 1_000;

/// Formats every fault of the document `name` with its line of `text`, and then the number of faults. Ends with a line
/// feed.
#[must_use]
pub fn faults(name: &str, text: &str, faults: &Faults, style: Style) -> String {
    let name = printable(name);
    let report = blocks(&name, text, &faults.list, &Level::ERROR, style);
    let count = faults.list.len() + faults.omitted;
    let shown =
        if faults.omitted == 0 { String::new() } else { format!(" (the first {} shown)", faults.list.len()) };
    let plural = if count == 1 { "" } else { "s" };
    report + &format!("{name}: {count} fault{plural}{shown}\n")
}

/// Formats every warning about the document `name` with its line of `text`.
#[must_use]
pub fn warnings(name: &str, text: &str, warnings: &[Fault], style: Style) -> String {
    blocks(&printable(name), text, warnings, &Level::WARNING, style)
}

fn blocks(name: &str, text: &str, faults: &[Fault], level: &Level<'static>, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let block = |fault| format!("{}\n\n", renderer.render(&[group(name, text, fault, level)]));
    faults.iter().map(block).collect()
}

fn group<'a>(name: &'a str, text: &str, fault: &Fault, level: &Level<'static>) -> Group<'a> {
    let at = visible(&fault.at);
    let group = Group::with_title(level.clone().primary_title(visible(&fault.message)));
    let group = match Excerpt::new(text, fault) {
        Some(Excerpt { line, span }) => group.element(
            Snippet::source(line)
                .path(name)
                .line_start(fault.line)
                .annotation(AnnotationKind::Primary.span(span).label(at)),
        ),
        None => {
            let origin = Origin::path(name).line(fault.line).char_column(fault.column);
            let group = group.element(origin);
            if at.is_empty() { group } else { group.element(Level::NOTE.message(format!("at {at}"))) }
        }
    };
    match &fault.help {
        Some(help) => group.element(Level::HELP.message(visible(help))),
        None => group,
    }
}

/// The line in which a fault begins, as it is shown. Without it, the renderer would search the whole document for each
/// fault.
struct Excerpt {
    line: String,
    /// The range to mark, in bytes of the line.
    span: std::ops::Range<usize>,
}

impl Excerpt {
    fn new(text: &str, fault: &Fault) -> Option<Self> {
        let (before, rest) = text.split_at_checked(fault.span.start)?;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = rest.find('\n').map_or(text.len(), |end| fault.span.start + end);
        let marked_end = fault.span.end.clamp(fault.span.start, end);
        let line = text.get(start..end)?;
        let (before, after) = (text.get(start..fault.span.start)?, text.get(marked_end..end)?);
        let marked = text.get(fault.span.start..marked_end)?;
        let [before, marked, after] = [before, marked, after].map(drawable);
        let span = before.len()..before.len() + marked.len();
        (line.len() <= LONGEST_LINE).then(|| Self { line: [before, marked, after].concat(), span })
    }
}

/// Prepares a part of a document's line. The renderer itself draws the control characters of ASCII, and indents by
/// tabs.
fn drawable(text: &str) -> String {
    escaped(text, |character| is_unseen(character) && !character.is_ascii())
}

/// Returns the text in one line that cannot control a terminal.
#[must_use]
pub fn visible(text: &str) -> String {
    escaped(text, is_unseen)
}

/// Returns one of Weir's own sentences, which may quote words of others, in the form of [`printable()`], with plain
/// quotes in place of backticks.
#[must_use]
pub fn sentence(text: &str) -> String {
    printable(&text.replace('`', "'"))
}

/// Returns a text of others in one line that can neither control a terminal nor run within double quotes of a shell.
#[must_use]
pub fn printable(text: &str) -> String {
    let runs = |character| matches!(character, '$' | '`' | '!');
    escaped(text, |character| runs(character) || is_unseen(character))
}

fn escaped(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' if which(character) => shown.extend(character.escape_default()),
            _ if which(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

/// Returns whether this is a control or format character.
fn is_unseen(character: char) -> bool {
    character.is_control() || is_format(character)
}

/// Returns whether the character has no shape of its own, and changes how others are shown or ends a line for some
/// programs.
fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Returns a part of a client's URL as one word of a log line. Every character with a meaning for a terminal or a
/// shell, quoted or not, is percent-encoded, which is another spelling of the same URL.
#[must_use]
pub fn url_text(text: &str) -> String {
    encoded(text, b"-._~/:@%+,=[]")
}

/// Returns words of others for a log line, in the form of [`url_text()`] but with spaces.
#[must_use]
pub fn plain_text(text: &str) -> String {
    encoded(text, b"-._/:@%+,=[] ")
}

fn encoded(text: &str, marks: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || marks.contains(&byte) {
            shown.push(char::from(byte));
        } else {
            shown += &format!("%{byte:02X}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(document: &str) -> String {
        faults("policy.yaml", document, &weir_policy::compile(document).unwrap_err(), Style::Plain)
    }

    #[test]
    fn each_fault_shows_its_line_and_what_to_do() {
        insta::assert_snapshot!(report(
            "allowed_domains:\n  - Example.COM\nrules:\n  - id: a\n    effect: maybe\n    hosts: ['*.*.x']\n    colour: red\n"
        ));
    }

    #[test]
    fn a_fault_in_a_very_long_line_shows_its_place_alone() {
        let names: String = (0..100).map(|number| format!("\"{number}.example\", ")).collect();
        let document = format!("{{\"allowed_domains\": [{names}\"Example.COM\"]}}");
        insta::assert_snapshot!(report(&document));
    }

    #[test]
    fn documents_that_cannot_be_read_at_all_have_a_fault_too() {
        for document in ["", "\t", "a: [", "- x", "\u{1b}[31m: 1", "ü: &x 1\nb: *x"] {
            let report = report(document);
            assert!(report.starts_with("error: ") && report.contains("policy.yaml:"), "{report}");
            assert!(!report.contains('\u{1b}'), "{report}");
        }
    }

    #[test]
    fn no_part_of_a_report_steers_a_terminal() {
        let odd = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}";
        for document in [
            r#"{"k\u001b]0;x\u0007\u009b2J\u202e": 1}"#.to_owned(),
            r#"{"rules": [{"k\u001b]0;x\u0007\u009b2J\u202e": {"a\u009b": 1}}]}"#.to_owned(),
            r#"{"allowed_domains": ["k\u001b\u009b2J"], "rules": [{"id": "\u009b", "effect": "\u001b"}]}"#
                .to_owned(),
            format!("allowed_domains: [a.example{odd}]"),
            format!("\"{odd}\": 1"),
            format!("allowed_domains: [Example.COM] # {odd}"),
            format!("{{\"allowed_domains\": [\"{}\", \"Example.COM\"], \"{odd}\": 1}}", "a".repeat(2_000)),
        ] {
            let faults_of = weir_policy::compile(&document).unwrap_err();
            let cases = weir_policy::cases::parse(&document).unwrap_err();
            for list in [faults_of, cases] {
                let report = faults(&format!("p{odd}.yaml"), &document, &list, Style::Plain);
                let steers = |character: char| character != '\n' && is_unseen(character);
                assert!(!report.contains(steers), "{report:?}");
            }
        }
    }

    #[test]
    fn what_is_marked_stays_marked_behind_an_escape() {
        let text = "[\u{9b}2J\u{202e}, Example.COM]";
        let start = text.find('E').unwrap();
        let fault = Fault {
            span: start..start + 11,
            line: 1,
            column: 8,
            at: "x".to_owned(),
            message: "no".to_owned(),
            help: None,
        };
        let report = faults("p", text, &Faults { list: vec![fault], omitted: 0 }, Style::Plain);
        let lines: Vec<&str> = report.lines().collect();
        let marks = lines.iter().position(|line| line.contains("^^^^^^^^^^^ x")).unwrap();
        let column = lines[marks].find('^').unwrap();
        assert_eq!(&lines[marks - 1][column..column + 11], "Example.COM", "{report}");
        assert!(lines[marks - 1].contains("[\\u{9b}2J\\u{202e}, "), "{report}");
    }

    #[test]
    fn sentences_of_weir_have_plain_quotes() {
        assert_eq!(sentence("see `weir check` of $(a)\u{1b}"), "see 'weir check' of \\u{24}(a)\\u{1b}");
    }

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(printable("a\u{1b}[2J\r\nü\u{202e}"), "a\\u{1b}[2J\\r\\nü\\u{202e}");
        assert_eq!(printable("\u{9b}2J\u{7f}\u{2028}\u{200f}"), "\\u{9b}2J\\u{7f}\\u{2028}\\u{200f}");
        assert_eq!(printable("$(a)`b`!"), "\\u{24}(a)\\u{60}b\\u{60}\\u{21}");
    }

    #[test]
    fn what_a_client_chose_is_one_word_of_a_log() {
        assert_eq!(
            url_text("/a-b%2f;c d|$(e)`f`'\"<ü"),
            "/a-b%2f%3Bc%20d%7C%24%28e%29%60f%60%27%22%3C%C3%BC"
        );
        assert_eq!(plain_text("a: b|c\n[d]"), "a: b%7Cc%0A[d]");
    }
}
