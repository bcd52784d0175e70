//! A name for each decision, by which a response, the access log and the decision log refer to it.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// The name of a decision, unique among all: 64 random bits of a worker, then a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecisionId {
    instance: u64,
    count: u64,
}

/// Formats 16 hexadecimal digits, a dash, and the count in hexadecimal.
impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl DecisionId {
    /// Returns the text of the id. Every request needs it, and the standard formatting takes ten times as long.
    pub fn text(&self) -> Text {
        let mut text = Text { bytes: [0; 33], length: 0 };
        text.push_hexadecimal(self.instance, 16);
        text.push(b'-');
        text.push_hexadecimal(self.count, 1);
        text
    }
}

/// The text of a decision id.
pub struct Text {
    bytes: [u8; 33],
    length: usize,
}

impl Text {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Adds the digits of a number, with leading zeros up to this many digits.
    fn push_hexadecimal(&mut self, number: u64, least: u32) {
        let digits = number.checked_ilog(16).map_or(1, |last| last.saturating_add(1)).max(least);
        for place in (0..digits).rev() {
            let digit = number.unbounded_shr(place.saturating_mul(4)).to_le_bytes()[0] & 0xf;
            self.push(b"0123456789abcdef".get(usize::from(digit)).copied().unwrap_or_default());
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length = self.length.saturating_add(1);
        }
    }
}

/// Makes a worker's decision ids without a host call: the random bits are drawn once, when the worker starts.
#[derive(Debug)]
pub struct DecisionIds {
    instance: u64,
    count: Cell<u64>,
}

/// Draws the random bits from the standard library's hash keys, which the operating system seeds (in Wasm, WASI's
/// `random_get`).
impl Default for DecisionIds {
    fn default() -> Self {
        Self { instance: RandomState::new().hash_one("decision"), count: Cell::new(0) }
    }
}

impl DecisionIds {
    /// Returns the next id.
    pub fn draw(&self) -> DecisionId {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        DecisionId { instance: self.instance, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_many_instances_are_all_different() {
        let instances: Vec<_> = (0..100).map(|_| DecisionIds::default()).collect();
        let ids: HashSet<_> =
            instances.iter().flat_map(|ids| (0..100).map(|_| ids.draw().to_string())).collect();
        assert_eq!(ids.len(), 100 * 100);
    }

    #[test]
    fn an_id_is_plain_hexadecimal() {
        for (instance, count) in [(0xab, 255), (0, 0), (1 << 63, 16), (u64::MAX, u64::MAX)] {
            let id = DecisionId { instance, count };
            assert_eq!(id.to_string(), format!("{instance:016x}-{count:x}"));
        }
    }
}
