//! JSON text from hostile bytes: always valid, always ASCII, always bounded.
//!
//! A client's text reaches logs, terminals, shells and parsers. The text escapes every character but printable ASCII, so
//! that no control sequence and no bidirectional override survives. It also escapes every character with a meaning in the
//! quotes of a shell (`curl … | sh`) or in HTML. Quotes and backslashes are escaped by their number, so that a text that
//! is decoded twice still has its quotes in place.

/// A compact JSON object under construction; members keep the order in which they are added.
///
/// Every request needs one or two objects, so the code avoids the slow standard formatting.
#[derive(Debug)]
pub struct Object {
    text: Vec<u8>,
}

impl Object {
    /// Starts an object.
    #[allow(clippy::new_without_default, reason = "an unfinished object is no default value")]
    pub fn new() -> Self {
        let mut text = Vec::with_capacity(512);
        text.push(b'{');
        Self { text }
    }

    /// Adds a string of at most `limit` bytes of `value`. Bytes that are not UTF-8 become U+FFFD.
    pub fn bytes(&mut self, key: &'static str, value: &[u8], limit: usize) -> &mut Self {
        self.key(key);
        self.text.push(b'"');
        let shown = value.get(..limit).unwrap_or(value);
        let plain = shown.iter().position(|byte| !is_plain(*byte)).unwrap_or(shown.len());
        let (plain, rest) = shown.split_at_checked(plain).unwrap_or_default();
        self.text.extend_from_slice(plain);
        for chunk in rest.utf8_chunks() {
            chunk.valid().chars().for_each(|character| self.escaped(character));
            if !chunk.invalid().is_empty() {
                self.escaped(char::REPLACEMENT_CHARACTER);
            }
        }
        self.text.push(b'"');
        self
    }

    /// Adds a string that has a bound already. It is escaped all the same.
    pub fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.bytes(key, value.as_bytes(), usize::MAX)
    }

    /// Adds a string that the code composes of safe parts. Its single quotes come in pairs, and are not escaped.
    pub fn sentence(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        self.text.push(b'"');
        for character in value.chars() {
            if character == '\'' { self.text.push(b'\'') } else { self.escaped(character) }
        }
        self.text.push(b'"');
        self
    }

    /// Adds a string, or `null`.
    pub fn optional_text(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.raw(key, b"null"),
        }
    }

    /// Adds a number, or `null`.
    pub fn optional_number(&mut self, key: &'static str, value: Option<u16>) -> &mut Self {
        match value {
            Some(value) => {
                self.key(key);
                self.number(value);
                self
            }
            None => self.raw(key, b"null"),
        }
    }

    /// Adds `true`.
    pub fn truth(&mut self, key: &'static str) -> &mut Self {
        self.raw(key, b"true")
    }

    /// Adds an object, whose members `members` adds.
    pub fn object(&mut self, key: &'static str, members: impl FnOnce(&mut Self)) -> &mut Self {
        self.raw(key, b"{");
        members(self);
        self.text.push(b'}');
        self
    }

    /// Ends the object, and returns its text.
    pub fn finish(&mut self) -> Vec<u8> {
        self.text.push(b'}');
        std::mem::take(&mut self.text)
    }

    fn number(&mut self, value: u16) {
        if value >= 10 {
            self.number(value / 10);
        }
        self.text.extend(u8::try_from(value % 10).map(|digit| b'0'.saturating_add(digit)));
    }

    fn raw(&mut self, key: &'static str, value: &[u8]) -> &mut Self {
        self.key(key);
        self.text.extend_from_slice(value);
        self
    }

    fn key(&mut self, key: &'static str) {
        if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
        self.text.push(b'"');
        self.text.extend_from_slice(key.as_bytes());
        self.text.extend_from_slice(b"\":");
    }

    fn escaped(&mut self, character: char) {
        match u8::try_from(character) {
            Ok(byte) if is_plain(byte) => self.text.push(byte),
            Ok(_) | Err(_) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.text.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
}

/// Returns whether a byte has no special meaning between quotes, in JSON, a shell (where `!` refers to the history) and
/// HTML.
pub fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
        && !matches!(byte, b'"' | b'\\' | b'$' | b'`' | b'!' | b'\'' | b'<' | b'>' | b'&')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(value: &[u8], limit: usize) -> String {
        let text = Object::new().bytes("a", value, limit).finish();
        assert!(text.iter().all(|byte| (b' '..=b'~').contains(byte) && !b"$`!'<>&".contains(byte)));
        let parsed: serde_json::Value = serde_json::from_slice(&text).unwrap();
        parsed["a"].as_str().unwrap().to_owned()
    }

    #[test]
    fn quotes_controls_and_astral_characters_survive() {
        let hostile = "\"},{\\ \r\n\0\u{1b}[31m \u{202e} \u{7f} ü 🦀";
        assert_eq!(round_trip(hostile.as_bytes(), 1000), hostile);
    }

    #[test]
    fn what_means_something_to_a_shell_or_in_html_is_a_number() {
        let text = Object::new().text("a", "$`\"\\!'<>&").sentence("b", "'a' \"$\"").finish();
        let expected =
            r#"{"a":"\u0024\u0060\u0022\u005c\u0021\u0027\u003c\u003e\u0026","b":"'a' \u0022\u0024\u0022"}"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn invalid_utf8_becomes_the_replacement_character() {
        assert_eq!(round_trip(b"/a\xff\xfeb", 1000), "/a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(round_trip(&[b'x'; 1000], 256), "x".repeat(256));
    }

    #[test]
    fn members_keep_their_order_and_absent_ones_are_null() {
        let text = Object::new()
            .optional_text("b", None)
            .optional_text("a", Some("x"))
            .optional_number("c", Some(443))
            .optional_number("d", None)
            .optional_number("e", Some(0))
            .optional_number("f", Some(u16::MAX))
            .finish();
        assert_eq!(text, br#"{"b":null,"a":"x","c":443,"d":null,"e":0,"f":65535}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_valid_string(value: Vec<u8>) {
            prop_assert_eq!(round_trip(&value, usize::MAX), String::from_utf8_lossy(&value));
        }
    }
}
