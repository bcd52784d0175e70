//! Protobuf fields that hold bytes or text. The filter encodes and decodes the few messages that it needs by hand: a
//! protobuf library would make the module larger.

/// The wire type of a field that holds bytes: a length stands before them.
const LENGTH_DELIMITED: u8 = 2;
/// The largest number of bytes before the content of a field whose number is below 16.
const LONGEST_PREFIX: usize = 11;

/// Encodes a message with one field, which holds the content.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(content.len().saturating_add(LONGEST_PREFIX));
    push_field(&mut message, number, content);
    message
}

/// Appends a field, which holds the content, to a message. The field's number is below 16.
pub fn push_field(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(tag(number));
    let mut length = content.len();
    while length > 0x7f {
        let [low, ..] = length.to_le_bytes();
        message.push(low | 0x80);
        length >>= 7;
    }
    let [low, ..] = length.to_le_bytes();
    message.push(low);
    message.extend_from_slice(content);
}

/// Returns the content of the field with this number, if the message is this one field and no more.
pub fn only_field(message: &[u8], number: u8) -> Option<&[u8]> {
    let (first, mut rest) = message.split_first()?;
    if *first != tag(number) {
        return None;
    }
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return (rest.len() == length).then_some(rest);
        }
    }
    None
}

fn tag(number: u8) -> u8 {
    number << 3 | LENGTH_DELIMITED
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_is_a_varint() {
        assert_eq!(field(1, b"k"), b"\x0a\x01k");
        let long = field(2, &[b'v'; 253]);
        assert_eq!((&long[..3], long.len()), (&b"\x12\xfd\x01"[..], 3 + 253));
    }

    #[test]
    fn fields_stand_one_after_the_other() {
        let mut message = field(1, b"k");
        push_field(&mut message, 2, b"value");
        assert_eq!(message, b"\x0a\x01k\x12\x05value");
        assert_eq!(only_field(&message, 1), None);
    }

    #[test]
    fn a_field_of_any_length_is_read_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let content: Vec<u8> = (0..length).map(|index| index as u8).collect();
            assert_eq!(only_field(&field(7, &content), 7), Some(content.as_slice()), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_field_is_read_back_under_its_own_number_alone(
            content in prop::collection::vec(any::<u8>(), 0..400),
            number in 1_u8..16,
            other in 1_u8..16,
        ) {
            let read = only_field(&field(number, &content), other).map(<[u8]>::to_vec);
            prop_assert_eq!(read, (number == other).then_some(content));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(content) = only_field(&bytes, 1) {
                prop_assert!(bytes.ends_with(content));
            }
        }
    }
}
