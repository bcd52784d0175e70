//! The envelope around the plugin configuration: a message of Envoy's own whose content no config dump shows.
//!
//! It is `envoy.extensions.transport_sockets.tls.v3.GenericSecret { secret { inline_bytes } }`. Envoy hands a plugin the
//! bytes of a message that it does not know to be text or bytes as they are, and redacts this one in `/config_dump`.

/// `GenericSecret.secret`.
const SECRET: u8 = 1;
/// `DataSource.inline_bytes`.
const INLINE_BYTES: u8 = 2;

/// Takes the content out, without a copy beside it. None of anything but such a message with nothing else in it.
pub fn open(mut message: Vec<u8>) -> Option<Vec<u8>> {
    let content = only_field(only_field(&message, SECRET)?, INLINE_BYTES)?.len();
    message.drain(..message.len().checked_sub(content)?);
    Some(message)
}

/// The content of the field of this number, which is of bytes and the whole message.
fn only_field(message: &[u8], number: u8) -> Option<&[u8]> {
    let (tag, mut rest) = message.split_first()?;
    if *tag != number << 3 | 2 {
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Puts content into it, as the control plane does.
    pub(crate) fn seal(content: &[u8]) -> Vec<u8> {
        let field = |number: u8, content: &[u8]| {
            let mut bytes = vec![number << 3 | 2];
            let mut length = content.len();
            while length > 0x7f {
                bytes.push(length as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            [&bytes, content].concat()
        };
        field(SECRET, &field(INLINE_BYTES, content))
    }

    #[test]
    fn what_is_put_in_comes_out() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let content: Vec<u8> = (0..length).map(|index| index as u8).collect();
            assert_eq!(open(seal(&content)), Some(content), "{length}");
        }
    }

    #[test]
    fn what_is_no_such_message_is_none() {
        let whole = seal(b"content");
        for end in 0..whole.len() {
            assert_eq!(open(whole[..end].to_vec()), None, "{end} bytes");
        }
        let longer = [whole.as_slice(), b"\0"].concat();
        let endless = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        for bytes in [longer.as_slice(), b"WEIRCFG1", &endless, &[0x0a, 0x02, 0x0a, 0x00]] {
            assert_eq!(open(bytes.to_vec()), None);
        }
    }
}
