//! The type of a scalar: text, or a word that YAML readers turn into another type.

/// Words that some version of YAML reads as a truth value or as null.
const WORDS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", "", "<<"];

/// Returns whether every YAML reader takes the scalar for text.
pub(crate) fn is_text(text: &str, plain: bool) -> bool {
    !plain || !(is_word(text) || is_number(text))
}

/// Describes the type of a scalar, for a fault's message.
pub(crate) fn kind(text: &str, plain: bool) -> &'static str {
    if !plain {
        "text"
    } else if matches!(text, "" | "~" | "null") {
        "nothing"
    } else if is_number(text) {
        "a number"
    } else if is_word(text) {
        "a word that YAML readers take for a truth value or nothing"
    } else {
        "text"
    }
}

fn is_word(text: &str) -> bool {
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Returns whether YAML 1.1 or 1.2 may read the text as an integer or a float. An IPv4 address is neither.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let special = [".inf", ".nan"].iter().any(|word| word.eq_ignore_ascii_case(digits));
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| digits.starts_with(prefix));
    let starts = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    let rest = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b':' | b'e' | b'E' | b'+' | b'-'));
    let dots = digits.bytes().filter(|byte| *byte == b'.').count();
    special
        || (radix && digits.len() > 2)
        || (starts && rest && dots <= 1 && digits.bytes().any(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_text_only_in_quotes() {
        for text in
            ["on", "No", "NULL", "~", "", "443", "0x1F", "1.5", "1e3", "-4", ".inf", "4_43", "1:30", "<<"]
        {
            assert!(!is_text(text, true), "{text}");
            assert!(is_text(text, false), "{text}");
        }
        for text in ["example.com", "127.0.0.1", "GET", "1password.com", "a-1", "/1", "0.pool.ntp.org"] {
            assert!(is_text(text, true), "{text}");
        }
    }
}
