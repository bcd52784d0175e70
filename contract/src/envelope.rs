//! The envelope around the plugin configuration: a message of Envoy's own whose content its config dump hides.
//!
//! The message is `envoy.extensions.transport_sockets.tls.v3.GenericSecret { secret { inline_bytes } }`. Envoy hands it to
//! the plugin as bytes, and writes `[redacted]` for its content in `/config_dump`.

use crate::protobuf::{field, only_field};

/// `GenericSecret.secret`.
const SECRET: u8 = 1;
/// `DataSource.inline_bytes`.
const INLINE_BYTES: u8 = 2;

/// Takes the content out of an envelope, in place, because a second copy of a large policy would stay in the VM's
/// memory. Returns `None` for any other bytes.
pub fn open(mut message: Vec<u8>) -> Option<Vec<u8>> {
    let content = only_field(only_field(&message, SECRET)?, INLINE_BYTES)?.len();
    message.drain(..message.len().checked_sub(content)?);
    Some(message)
}

/// The type URL of the envelope's message.
pub const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.GenericSecret";

/// Puts content into an envelope: the encoded message.
pub fn seal(content: &[u8]) -> Vec<u8> {
    let inner = field(INLINE_BYTES, content);
    field(SECRET, &inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_content_comes_out_again() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let content: Vec<u8> = (0..length).map(|index| index as u8).collect();
            assert_eq!(open(seal(&content)), Some(content), "{length}");
        }
    }

    #[test]
    fn any_other_message_is_refused() {
        let whole = seal(b"content");
        for end in 0..whole.len() {
            assert_eq!(open(whole[..end].to_vec()), None, "{end} bytes");
        }
        let longer = [whole.as_slice(), b"\0"].concat();
        let endless = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        for bytes in [longer.as_slice(), b"WEIRCFG2", &endless, &[0x0a, 0x02, 0x0a, 0x00]] {
            assert_eq!(open(bytes.to_vec()), None);
        }
    }
}
