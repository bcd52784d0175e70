//! Quoting for POSIX shells, for the commands that `weir` prints to be pasted.

/// Quotes `text` as exactly one word of a POSIX shell. A safe text stays as it is; any other is put in single quotes.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:@,%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { single_quoted(text) }
}

/// Puts `text` in single quotes. Only the quote itself is special inside them.
#[must_use]
pub(crate) fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_reads_back_the_very_text() {
        for text in
            ["", "plain", "two words", "it's", "$HOME `id` \\ \"x\"", "line\nbreak", "-n", "ü*?[a]~#&;|<>"]
        {
            for word in [quoted(text), single_quoted(text)] {
                let output = Command::new("sh").arg("-c").arg(format!("printf %s {word}")).output().unwrap();
                assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{word}");
            }
        }
    }
}
