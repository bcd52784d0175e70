//! A name for each decision, the same in the answer, the access log and the decision log.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// Unique among all decisions: 64 random bits of the filter's instance, then a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecisionId {
    instance: u64,
    count: u64,
}

/// 16 hexadecimal digits, a dash, and the count in hexadecimal.
impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}", self.instance, self.count)
    }
}

/// Makes decision ids without asking the host: randomness is drawn once, when a worker starts the filter.
#[derive(Debug)]
pub struct DecisionIds {
    instance: u64,
    count: Cell<u64>,
}

/// Draws the random bits: the standard library's hash keys, which WASI `random_get` seeds.
impl Default for DecisionIds {
    fn default() -> Self {
        Self { instance: RandomState::new().hash_one("decision"), count: Cell::new(0) }
    }
}

impl DecisionIds {
    /// The next id.
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
    fn an_id_is_plain_ascii() {
        let id = DecisionId { instance: 0xab, count: 255 };
        assert_eq!(id.to_string(), "00000000000000ab-ff");
    }
}
