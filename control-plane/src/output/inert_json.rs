//! JSON that is inert in a shell, a terminal and HTML: letters, digits and harmless marks of ASCII are written as they
//! are, and every other character as a numeric escape. Clients, upstreams and policies choose the texts in it.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Writes a value as one line of inert JSON.
///
/// # Errors
/// When JSON cannot represent the value, such as a map whose keys are not texts.
pub(crate) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(&mut line, Inert))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Whether the filter's JSON leaves this character as it is, too.
fn is_plain(character: char) -> bool {
    u8::try_from(character).is_ok_and(weir_contract::json::is_plain)
}

struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            if is_plain(character) {
                out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                number(out, character)?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let character = match escape {
            CharEscape::Quote => '"',
            CharEscape::ReverseSolidus => '\\',
            CharEscape::Solidus => '/',
            CharEscape::Backspace => '\u{8}',
            CharEscape::FormFeed => '\u{c}',
            CharEscape::LineFeed => '\n',
            CharEscape::CarriageReturn => '\r',
            CharEscape::Tab => '\t',
            CharEscape::AsciiControl(byte) => char::from(byte),
        };
        number(out, character)
    }
}

fn number<W: ?Sized + io::Write>(out: &mut W, character: char) -> io::Result<()> {
    character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_plain_ascii_and_reads_back() {
        let all: String = (0..0x3000u32).chain(0x1f600..0x1f610).filter_map(char::from_u32).collect();
        let line = to_string(&serde_json::json!({ all.as_str(): [all.as_str()], "n": 1 })).unwrap();
        assert!(
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"$`!'<>&".contains(&byte)),
            "{line}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read[&all][0], &read["n"]), (&all.into(), &1.into()));
    }

    #[test]
    fn quotes_backslashes_and_line_ends_are_numbers() {
        assert_eq!(to_string(&"a\"\\\n").unwrap(), r#""a\u0022\u005c\u000a""#);
    }
}
