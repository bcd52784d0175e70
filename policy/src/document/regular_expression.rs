//! Regular expressions that an author wrote as a path, and the patterns that are probably meant.

/// Characters that regular expressions use, and that few paths contain.
const META: [char; 9] = ['^', '$', '[', ']', '(', ')', '|', '\\', '*'];

/// Returns whether the text is a regular expression and can be no pattern.
pub(super) fn is_certain(text: &str) -> bool {
    let quantified_class = [']', ')'].iter().any(|end| text.contains(&format!("{end}{{")));
    text.starts_with('^')
        || text.contains(".*")
        || text.contains("]*")
        || quantified_class
        || (!text.starts_with('/') && is_likely(text))
        || has_escape(text)
}

/// Returns whether the text is probably a regular expression, although it is a valid pattern.
pub(super) fn is_likely(text: &str) -> bool {
    let alternatives = text
        .split_once('(')
        .is_some_and(|(_, rest)| rest.split_once(')').is_some_and(|(inner, _)| inner.contains('|')));
    let class = text.split_once('[').is_some_and(|(_, rest)| {
        rest.split_once(']').is_some_and(|(inner, after)| {
            let range = inner.as_bytes().windows(3).any(|part| part.get(1) == Some(&b'-'));
            range || inner.starts_with('^') || after.starts_with('+')
        })
    });
    alternatives || class || text.ends_with('$') || text.contains(".+") || text.contains(")+")
}

/// Returns whether the text has an escape of regular expressions: `\d`, `\.`.
fn has_escape(text: &str) -> bool {
    text.split('\\').skip(1).any(|rest| {
        rest.starts_with(['d', 'D', 'w', 'W', 's', 'S', 'b', 'B', '.', '/', '-', '+', '*', '(', '['])
    })
}

/// The help for a regular expression: the pattern that is probably meant.
pub(super) fn help(text: &str) -> String {
    let text = text.strip_prefix('^').unwrap_or(text);
    let text = text.strip_suffix('$').unwrap_or(text);
    let kinds =
        "a pattern is an exact path, `{name}` for one whole segment, or `*` at the end for everything below";
    let (folder, last) = text.rsplit_once('/').unwrap_or(("", text));
    let folder: Vec<&str> = folder.split('/').map(segment).collect();
    let folder = folder.join("/");
    let folder = if folder.is_empty() || folder.starts_with('/') { folder } else { format!("/{folder}") };
    match last {
        ".*" | ".+" => format!("write `{folder}/*`: {kinds}"),
        last => match last.strip_suffix(".*").or(last.strip_suffix(".+")).filter(|name| is_plain(name)) {
            Some(name) => format!("write `{folder}/{name}` and `{folder}/{name}/*`: {kinds}"),
            None => format!("write `{folder}/{}`: {kinds}", segment(last)),
        },
    }
}

/// The pattern for a segment: the segment itself, or `{name}`.
fn segment(segment: &str) -> &str {
    if is_plain(segment) { segment } else { "{name}" }
}

fn is_plain(segment: &str) -> bool {
    let is_name = segment.starts_with('{') && segment.ends_with('}');
    !segment.contains(META) && !segment.contains(".+") && (is_name || !segment.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_is_known_and_its_pattern_is_named() {
        for (text, pattern) in [
            ("^/docs", "write `/docs`:"),
            ("^/docs$", "write `/docs`:"),
            ("^/$", "write `/`:"),
            ("/docs.*", "write `/docs` and `/docs/*`:"),
            ("^/docs/.*", "write `/docs/*`:"),
            ("/.*", "write `/*`:"),
            (".*", "write `/*`:"),
            ("/users/\\d+", "write `/users/{name}`:"),
            ("/users/\\d+/posts", "write `/users/{name}/posts`:"),
            ("/[a-z]{2}/docs", "write `/{name}/docs`:"),
            ("/v[0-9]*/x", "write `/{name}/x`:"),
            ("/file\\.txt", "write `/{name}`:"),
            ("[a-z]+", "write `/{name}`:"),
            ("\\d+", "write `/{name}`:"),
            ("docs/.*", "write `/docs/*`:"),
        ] {
            assert!(is_certain(text), "{text}");
            assert!(help(text).starts_with(pattern), "{text}: {}", help(text));
        }
        for (text, pattern) in [
            ("/a/[a-z]+", "write `/a/{name}`:"),
            ("/docs$", "write `/docs`:"),
            ("/(a|b)/c", "write `/{name}/c`:"),
            ("/a/.+", "write `/a/*`:"),
            ("/[^/]+/c", "write `/{name}/{name}/c`:"),
        ] {
            assert!(!is_certain(text) && is_likely(text), "{text}");
            assert!(help(text).starts_with(pattern), "{text}: {}", help(text));
        }
    }

    #[test]
    fn paths_of_real_servers_are_none() {
        for text in [
            "/",
            "/*",
            "/docs/*",
            "/@scope/name",
            "/$metadata",
            "/wiki/Foo_(bar)",
            "/a+b",
            "/c++/x",
            "/v1.2.3/*",
            "/repos/{owner}/{name}/*",
            "/[slug]",
            "/a.b.*x",
            "/x/$batch",
            "/~user/",
            "/a[]",
            "/*.js",
        ] {
            assert!(!is_likely(text), "{text}");
            assert!(!is_certain(text) || text == "/a.b.*x", "{text}");
        }
    }
}
