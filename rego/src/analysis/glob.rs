//! Finds the parts of a glob that the engine reads differently than OPA.
//!
//! The engine makes paths of the value and the pattern, and matches them byte by byte: `?` and `[…]` take a byte of a
//! letter for a letter, `**` passes a delimiter only as a whole last part, and an empty choice is left out. A pattern that
//! does not compile makes the call undefined.

/// Returns the first part of a glob that the engine cannot compile or reads differently than OPA.
pub(super) fn unsupported(pattern: &str, delimiters: &[char]) -> Option<&'static str> {
    let mut chars = pattern.chars().peekable();
    let mut depth = 0_usize;
    let mut before = None;
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return Some("\\"),
            '?' => return Some("?"),
            '[' => return Some("["),
            '*' if chars.next_if_eq(&'*').is_some() => {
                let whole_part = before.is_none_or(|before| delimiters.contains(&before));
                // At the beginning it is the whole pattern, because nothing is behind it.
                if !whole_part || chars.peek().is_some() {
                    return Some("**");
                }
            }
            '{' => depth += 1,
            '}' if depth == 0 => return Some("}"),
            '}' => depth -= 1,
            _ => {}
        }
        let opens = c == '{' || (c == ',' && depth > 0);
        if opens && matches!(chars.peek(), Some(',' | '}')) {
            return Some(",");
        }
        before = Some(c);
    }
    (depth > 0).then_some("{")
}

/// Returns whether the engine takes a text for one delimiter, as OPA does. The engine ignores `:` and counts bytes.
pub(super) fn is_delimiter(text: &str) -> bool {
    matches!(text.as_bytes(), [byte] if byte.is_ascii_punctuation() && !b":*?{}[],\\!".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_both_read_alike_is_taken() {
        for pattern in
            ["", "*", "**", "*.example", "a.**", "{a,{b,é*}}", r"\*\?\[\{", "日本/*", "a*b*", "a,b"]
        {
            assert_eq!(unsupported(pattern, &['.']), None, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_the_engine_reads_in_another_way_is_found() {
        for (pattern, part) in [
            ("**.example", "**"),
            ("a**", "**"),
            ("a/**", "**"),
            ("***", "**"),
            ("a.**.b", "**"),
            ("a.***", "**"),
            ("{a.**,b}", "**"),
            (r"a\***", "**"),
            ("a?", "?"),
            ("[a-c]", "["),
            ("{a,}", ","),
            ("{,a}", ","),
            ("{}", ","),
            ("{a,,b}", ","),
            ("{a", "{"),
            ("a}", "}"),
            ("a\\", "\\"),
        ] {
            assert_eq!(unsupported(pattern, &['.']), Some(part), "{pattern}");
        }
        assert_eq!(unsupported("a.**", &[]), Some("**"));
    }

    #[test]
    fn a_delimiter_is_one_sign() {
        assert!(["/", ".", "-"].into_iter().all(is_delimiter));
        assert!(!["", ":", "::", "é", "*", "a", " "].into_iter().any(is_delimiter));
    }
}
