//! Headers in the form of proxy-wasm: one run of bytes, read in place.
//!
//! The bytes are the number of headers, then the sizes of each name and value, then each name and value with a zero byte
//! after it. Numbers have four bytes, little-endian.

use weir_filter::hostcalls::{Header, MalformedHeaders, RequestHeaders};

/// All headers of a request, as the host returned them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeaderMap {
    bytes: Vec<u8>,
}

impl From<Vec<u8>> for HeaderMap {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

impl RequestHeaders for HeaderMap {
    fn pairs(&self) -> impl Iterator<Item = Result<Header<'_>, MalformedHeaders>> {
        // A host returns no bytes for no headers.
        let (count, rest) = take_number(&self.bytes).unwrap_or((0, &[]));
        let cut = count.checked_mul(8).and_then(|size| rest.split_at_checked(size));
        let fault = cut.is_none() || !(self.bytes.is_empty() || self.bytes.len() >= 4);
        let (sizes, texts) = cut.unwrap_or_default();
        Pairs { sizes, texts, fault }
    }
}

struct Pairs<'h> {
    sizes: &'h [u8],
    texts: &'h [u8],
    fault: bool,
}

impl<'h> Pairs<'h> {
    fn take(&mut self) -> Option<Header<'h>> {
        let (name, sizes) = take_number(self.sizes)?;
        let (value, sizes) = take_number(sizes)?;
        self.sizes = sizes;
        Some((self.text(name)?, self.text(value)?))
    }

    fn text(&mut self, size: usize) -> Option<&'h [u8]> {
        let (text, rest) = self.texts.split_at_checked(size)?;
        self.texts = rest.strip_prefix(b"\0")?;
        Some(text)
    }
}

impl<'h> Iterator for Pairs<'h> {
    type Item = Result<Header<'h>, MalformedHeaders>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.fault {
            if self.sizes.is_empty() {
                return None;
            }
            if let Some(pair) = self.take() {
                return Some(Ok(pair));
            }
        }
        *self = Self { sizes: &[], texts: &[], fault: false };
        Some(Err(MalformedHeaders))
    }
}

fn take_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// Encodes headers.
pub fn encode(pairs: &[Header<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    push_number(&mut bytes, pairs.len());
    for (name, value) in pairs {
        push_number(&mut bytes, name.len());
        push_number(&mut bytes, value.len());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text);
        bytes.push(0);
    }
    bytes
}

/// Adds a number. A larger number than the largest of four bytes would be the size of a text that fits no Wasm memory.
fn push_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (Vec<u8>, Vec<u8>);

    fn read(bytes: &[u8]) -> Result<Vec<Owned>, MalformedHeaders> {
        let map = HeaderMap::from(bytes.to_vec());
        map.pairs().map(|pair| pair.map(|(name, value)| (name.to_vec(), value.to_vec()))).collect()
    }

    #[test]
    fn a_map_is_as_the_abi_has_it() {
        let bytes = b"\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0a\0\xff\0\0b\0\0";
        let pairs = [(b"a".as_slice(), b"\xff\0".as_slice()), (b"b", b"")];
        assert_eq!(encode(&pairs), bytes);
        assert_eq!(read(bytes), Ok(pairs.iter().map(|(a, b)| (a.to_vec(), b.to_vec())).collect()));
        assert_eq!(read(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_map_that_is_cut_is_malformed_wherever_it_is_cut() {
        let whole = encode(&[(b":authority", b"a.example"), (b"x", b"")]);
        for end in 1..whole.len() {
            assert_eq!(read(&whole[..end]), Err(MalformedHeaders), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_headers_come_out_as_they_went_in(pairs: Vec<Owned>) {
            let slices: Vec<Header<'_>> =
                pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
            prop_assert_eq!(read(&encode(&slices)), Ok(pairs));
        }

        #[test]
        fn any_bytes_are_read_to_an_end(bytes: Vec<u8>) {
            let map = HeaderMap::from(bytes);
            prop_assert!(map.pairs().count() <= map.bytes.len());
        }
    }
}
