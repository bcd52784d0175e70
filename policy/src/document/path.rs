//! Path patterns in a document.

use super::node::Spanned;
use super::regular_expression;
use crate::fault::{At, Collector};
use crate::path::pattern::{Case, PatternKind};
use crate::path::{InvalidPath, Path};

/// Reads a pattern: `/exact`, `/prefix/*`, `/a/{one-segment}/b`.
pub(super) fn pattern(
    written: &Spanned<impl AsRef<str>>,
    at: &At<'_>,
    faults: &mut Collector,
) -> Option<(String, PatternKind)> {
    let text = written.value.as_ref();
    match read(text) {
        Ok(pattern) => {
            if regular_expression::is_likely(text) {
                let message = format!("`{text}` looks like a regular expression, and is compared literally");
                faults.warn(written.span.clone(), at, message, regular_expression::help(text));
            }
            Some(pattern)
        }
        Err((message, help)) => {
            faults.report(written.span.clone(), at, message, help);
            None
        }
    }
}

type Fault = (String, Option<String>);

fn read(text: &str) -> Result<(String, PatternKind), Fault> {
    if regular_expression::is_certain(text) {
        let message = format!("`{text}` is a regular expression, and paths are patterns");
        return Err((message, Some(regular_expression::help(text))));
    }
    if !text.starts_with('/') {
        return Err((format!("the path `{text}` does not start with `/`"), Some(format!("write `/{text}`"))));
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(("the path is too long".to_owned(), None));
    }
    if text.contains('?') {
        let help = "a rule cannot look at the query: leave it out".to_owned();
        return Err((format!("the path `{text}` has a query"), Some(help)));
    }
    if text.contains('%') {
        let help = match Path::parse(text.as_bytes()) {
            Ok(path) => String::from_utf8(path.as_bytes().to_vec())
                .ok()
                .map(|decoded| format!("write `{decoded}`: paths are compared after decoding")),
            Err(InvalidPath::EncodedSeparator) => Some(format!(
                "servers read an encoded slash as a slash or as a character: `{}` matches the path either way",
                folder_before_escape(text)
            )),
            Err(_) => None,
        };
        return Err((format!("the path `{text}` has a `%`"), help));
    }
    let literal = text.strip_suffix("/*").map_or(text, |prefix| text.get(..=prefix.len()).unwrap_or(text));
    let (prefix, parameters) = (literal.len() < text.len(), has_parameters(literal)?);
    let kind = PatternKind { prefix, parameters, case: Case::Exact };
    // A document contains a space as itself. The wire form encodes it.
    let wire = literal.replace(' ', "%20");
    match Path::parse(wire.as_bytes()) {
        Ok(path) if path.as_bytes() == literal.as_bytes() => Ok((literal.to_owned(), kind)),
        Ok(path) => {
            let star = if kind.prefix { "*" } else { "" };
            let canonical = String::from_utf8_lossy(path.as_bytes()).into_owned();
            let message = format!("`{text}` is not in canonical form, which is `{canonical}{star}`");
            Err((message, Some(format!("write `{canonical}{star}`"))))
        }
        Err(error) => Err((format!("`{text}` is not a path that can be allowed: {error}"), None)),
    }
}

/// The pattern for everything in the last folder before the first escape: `/a/*` for `/a/b%2fc`.
fn folder_before_escape(text: &str) -> String {
    let before = text.split('%').next().unwrap_or_default();
    let folder = before.rfind('/').and_then(|end| before.get(..=end)).unwrap_or("/");
    format!("{folder}*")
}

/// Returns whether the pattern has `{…}` segments. Braces and stars elsewhere are faults.
fn has_parameters(literal: &str) -> Result<bool, Fault> {
    let mut found = false;
    for segment in literal.split('/') {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if let Some(name) = name
            && !name.is_empty()
            && !name.contains(['{', '}', '*'])
        {
            found = true;
        } else if segment.contains(['{', '}']) {
            let help = "`{name}` stands for one whole segment".to_owned();
            return Err((
                format!("the segment `{segment}` has braces that are not around all of it"),
                Some(help),
            ));
        } else if segment.contains('*') {
            return Err(star(literal, segment));
        }
    }
    Ok(found)
}

/// The fault of a `*` that is not the last segment: `/docs*`, `/a/*/b`.
fn star(literal: &str, segment: &str) -> Fault {
    let message = format!("the segment `{segment}` has a `*`, and only the last segment can be `*`");
    if let Some(folder) = literal.strip_suffix("/**").filter(|folder| !folder.contains('*')) {
        return (message, Some(format!("write `{folder}/*`, which is everything below `{folder}/`")));
    }
    let help = match literal.strip_suffix('*').filter(|before| !before.contains('*')) {
        Some(before) => format!(
            "write `{before}/*` for everything below `{before}`, and `{before}` for itself; no pattern matches a part of a \
             segment"
        ),
        None => format!(
            "write `{{name}}` for one whole segment, and `*` at the end for everything below: `{}`",
            literal
                .split('/')
                .map(|part| if part.contains('*') { "{name}" } else { part })
                .collect::<Vec<_>>()
                .join("/")
        ),
    };
    (message, Some(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_with_their_kind() {
        let kinds = |text| read(text).map(|(text, kind)| (text, kind.prefix, kind.parameters));
        assert_eq!(kinds("/a"), Ok(("/a".to_owned(), false, false)));
        assert_eq!(kinds("/a/*"), Ok(("/a/".to_owned(), true, false)));
        assert_eq!(kinds("/*"), Ok(("/".to_owned(), true, false)));
        assert_eq!(kinds("/a/{b}/c"), Ok(("/a/{b}/c".to_owned(), false, true)));
        assert_eq!(kinds("/a/{b}/*"), Ok(("/a/{b}/".to_owned(), true, true)));
        assert_eq!(kinds("/with space/é"), Ok(("/with space/é".to_owned(), false, false)));
    }

    #[test]
    fn an_encoded_slash_is_allowed_with_the_folder_before_it() {
        for (text, folder) in [("/a/b%2fc", "/a/*"), ("/%2Fa", "/*"), ("/a/%5cb/*", "/a/*")] {
            let help = read(text).unwrap_err().1.unwrap_or_default();
            assert!(help.contains(&format!(": `{folder}` matches ")), "{text}: {help}");
        }
        assert_eq!(read("/a%2f../b").unwrap_err().1, None);
    }

    #[test]
    fn a_star_elsewhere_has_the_pattern_that_is_meant() {
        for (text, help) in [
            ("/docs*", "write `/docs/*` for everything below `/docs`, and `/docs` for itself"),
            ("/a/b-*", "write `/a/b-/*`"),
            ("/docs/**", "write `/docs/*`, which"),
            ("/a/*/b", "`/a/{name}/b`"),
            ("/a/v*/b*", "`/a/{name}/{name}`"),
            ("/*/a/*", "`/{name}/a/`"),
        ] {
            let (_, found) = read(text).unwrap_err();
            assert!(found.as_deref().is_some_and(|found| found.contains(help)), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for text in [
            "", "a", "*", "/a?b", "/a%20b", "/a//b", "/a/../b", "/a/.", "/a*", "/*/a", "/a{b}", "/{}",
            "/{a*}", "/a\\b", "/a#b", "/a\tb",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
