//! Host text in two thirds of its bytes: three characters of a 40-letter alphabet in two bytes.
//!
//! The form is exact in both directions: each text has one packed form, which unpacks to that text alone.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

/// The letters of a name, in the order of their codes. The last code is unused.
const NAME: &[u8; 40] = b"abcdefghijklmnopqrstuvwxyz0123456789-_.\0";
/// The letters of an IPv6 address in brackets.
const ADDRESS: &[u8; 40] = b"abcdef[]:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x000123456789\0\0.\0";

const LETTERS: u16 = 40;

/// The number of bytes that a text of this length takes.
pub(super) fn packed_bytes(length: u8) -> usize {
    usize::from(length).div_ceil(3).saturating_mul(2)
}

/// Returns whether the text is in brackets, which have an alphabet of their own.
pub(super) fn is_bracketed(text: &[u8]) -> bool {
    text.first() == Some(&b'[')
}

fn alphabet(bracketed: bool) -> &'static [u8; 40] {
    if bracketed { ADDRESS } else { NAME }
}

/// Iterates over the letters of a packed text, without the padding at its end.
fn letters(packed: &[u8], length: u8, bracketed: bool) -> impl Iterator<Item = u8> + '_ {
    let alphabet = alphabet(bracketed);
    let letter = move |code: u16| alphabet.get(usize::from(code)).copied().unwrap_or(0);
    let groups = packed.as_chunks::<2>().0.iter().flat_map(move |group| codes(*group).map(letter));
    groups.take(usize::from(length))
}

fn codes(group: [u8; 2]) -> [u16; 3] {
    let group = u16::from_le_bytes(group);
    [group / (LETTERS * LETTERS), group / LETTERS % LETTERS, group % LETTERS]
}

/// Returns whether `packed` holds this text. Both must agree about brackets.
pub(super) fn is_packed(packed: &[u8], text: &[u8], bracketed: bool) -> bool {
    let alphabet = alphabet(bracketed);
    let is = |code: u16, letter: u8| alphabet.get(usize::from(code)) == Some(&letter);
    let (groups, (whole, rest)) = (packed.as_chunks::<2>().0, text.as_chunks::<3>());
    let same = whole.iter().zip(groups).all(|([a, b, c], group)| {
        let [first, second, third] = codes(*group);
        is(first, *a) && is(second, *b) && is(third, *c)
    });
    let last = groups.get(whole.len()).map_or([0; 3], |group| codes(*group));
    same && groups.len() == text.len().div_ceil(3)
        && rest.iter().zip(last).all(|(letter, code)| is(code, *letter))
}

/// Unpacks into `to` and returns the text. Returns `None` unless the bytes are the canonical form of a text in the
/// alphabet.
pub(super) fn unpack<'t>(
    packed: &[u8],
    length: u8,
    bracketed: bool,
    to: &'t mut [u8; 255],
) -> Option<&'t [u8]> {
    let whole = packed.len() == packed_bytes(length);
    let text = to.get_mut(..usize::from(length))?;
    for (place, letter) in text.iter_mut().zip(letters(packed, length, bracketed)) {
        *place = letter;
    }
    let filling = usize::from(length).checked_rem(3).unwrap_or(0);
    let last = packed.as_chunks::<2>().0.last().map_or([0; 3], |group| codes(*group));
    let filled = filling == 0 || last.iter().skip(filling).all(|code| *code == 0);
    let in_alphabet = packed.as_chunks::<2>().0.iter().all(|group| u16::from_le_bytes(*group) < 64_000);
    (whole && filled && in_alphabet && !text.contains(&0)).then_some(text)
}

/// Appends the packed text. Returns `None` for a letter outside the alphabet; the caller must then discard the
/// appended bytes.
#[cfg(feature = "compile")]
pub(super) fn pack(text: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let alphabet = alphabet(is_bracketed(text));
    let code = |letter: &u8| alphabet.iter().position(|known| known == letter && *letter != 0);
    for group in text.chunks(3) {
        let mut packed = 0u16;
        for place in 0..3 {
            let code = group.get(place).map_or(Some(0), code)?;
            packed = packed.checked_mul(LETTERS)?.checked_add(u16::try_from(code).ok()?)?;
        }
        to.extend_from_slice(&packed.to_le_bytes());
    }
    Some(())
}

#[cfg(all(test, feature = "compile"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(text.as_bytes(), &mut bytes).expect("letters of the alphabet");
        bytes
    }

    fn unpacked(bytes: &[u8], length: usize, bracketed: bool) -> Option<String> {
        let mut buffer = [0; 255];
        let text = unpack(bytes, u8::try_from(length).expect("short"), bracketed, &mut buffer)?;
        Some(String::from_utf8(text.to_vec()).expect("ASCII"))
    }

    #[test]
    fn three_letters_take_two_bytes() {
        assert_eq!(packed("abc").len(), 2);
        assert_eq!(packed("api.example-1.com").len(), 12);
        assert_eq!(unpacked(&packed("[2001:db8::1.2]"), 15, true), Some("[2001:db8::1.2]".to_owned()));
    }

    #[test]
    fn what_is_no_host_is_not_packed() {
        for text in ["A", "a b", "a:b", "\0", "[g]", "[::1]\0", "\u{e9}"] {
            assert_eq!(pack(text.as_bytes(), &mut Vec::new()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_packed_as_itself_and_as_nothing_else(
            text in "[a-z0-9._-]{1,40}|\\[[0-9a-f:.]{1,30}\\]",
            other in "[a-z0-9._-]{1,40}|\\[[0-9a-f:.]{1,30}\\]",
        ) {
            let bytes = packed(&text);
            let bracketed = is_bracketed(text.as_bytes());
            prop_assert_eq!(unpacked(&bytes, text.len(), bracketed), Some(text.clone()));
            prop_assert!(is_packed(&bytes, text.as_bytes(), bracketed));
            if bracketed == is_bracketed(other.as_bytes()) && text.len() == other.len() {
                prop_assert_eq!(is_packed(&bytes, other.as_bytes(), bracketed), text == other);
            }
        }

        #[test]
        fn bytes_unpack_to_text_that_packs_to_them(bytes in prop::collection::vec(any::<u8>(), 0..20), length in 0usize..40, bracketed: bool) {
            if let Some(text) = unpacked(&bytes, length, bracketed)
                && is_bracketed(text.as_bytes()) == bracketed
            {
                prop_assert_eq!(packed(&text), bytes);
            }
        }
    }
}
