//! Words of a closed list that another release may have extended.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use weir_policy::{Effect, Reason};

/// The longest unknown word that is kept, in characters.
const LONGEST: usize = 64;

/// A member of a closed list of words.
pub trait Term: Copy + PartialEq + 'static {
    /// Every member of the list.
    const ALL: &'static [Self];

    /// The member's word.
    fn as_str(self) -> &'static str;
}

impl Term for Effect {
    const ALL: &'static [Self] = &[Effect::Allow, Effect::Deny];

    fn as_str(self) -> &'static str {
        Effect::as_str(self)
    }
}

impl Term for Reason {
    const ALL: &'static [Self] = &Reason::ALL;

    fn as_str(self) -> &'static str {
        Reason::as_str(self)
    }
}

/// A term that this release knows, or the text of another one. The text is untrusted: escape it where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// A known term.
    Known(T),
    /// A word that this release does not know, cut after 64 characters.
    Other(String),
}

impl<T: Term> Word<T> {
    /// Reads a word.
    pub fn new(word: &str) -> Self {
        let known = T::ALL.iter().copied().find(|term| term.as_str() == word);
        known.map_or_else(|| Self::Other(word.chars().take(LONGEST).collect()), Self::Known)
    }

    /// The term, if this release knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(term) => Some(*term),
            Self::Other(_) => None,
        }
    }

    /// The word as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(term) => term.as_str(),
            Self::Other(word) => word,
        }
    }
}

impl<T: Term> From<T> for Word<T> {
    fn from(term: T) -> Self {
        Self::Known(term)
    }
}

impl<T: Term> PartialEq<T> for Word<T> {
    fn eq(&self, term: &T) -> bool {
        self.known() == Some(*term)
    }
}

/// Reads a missing or malformed word as an empty one.
impl<T: Term> Default for Word<T> {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl<T: Term> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Term> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}
