//! Suggestions for misspelled words.

/// Returns the candidate with the fewest edits to the word: at most two, and fewer than half its letters.
pub(super) fn suggestion<'k>(word: &str, candidates: &[&'k str]) -> Option<&'k str> {
    // The comparison is skipped for words that are longer than any key.
    if word.len() > 64 {
        return None;
    }
    let distances = candidates.iter().map(|candidate| (distance(word, candidate), *candidate));
    let (edits, candidate) = distances.min_by_key(|(edits, _)| *edits)?;
    (edits <= 2 && edits.saturating_mul(2) < candidate.len()).then_some(candidate)
}

/// Computes Levenshtein's distance, in characters.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (done, left) in one.chars().enumerate() {
        let mut diagonal = done;
        let mut beside = done.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = beside;
        }
        for (cell, right) in row.iter_mut().skip(1).zip(other.chars()) {
            let substituted = diagonal.saturating_add(usize::from(left != right));
            diagonal = *cell;
            *cell = substituted.min(diagonal.saturating_add(1)).min(beside.saturating_add(1));
            beside = *cell;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_another_word_does_not() {
        let keys = ["allowed_domains", "unrestricted_domains", "rules", "id"];
        assert_eq!(suggestion("allowed_domain", &keys), Some("allowed_domains"));
        assert_eq!(suggestion("rule", &keys), Some("rules"));
        assert_eq!(suggestion("denied", &keys), None);
        assert_eq!(suggestion("to", &keys), None);
        assert_eq!((distance("kitten", "sitting"), distance("", "ab")), (3, 2));
    }
}
