//! Certificates in Java's own key store format (JKS), which every Java reads, even without a password.
//!
//! A store of certificates holds no secret, and the format is a page long (`JavaKeyStore.java` of OpenJDK). Writing
//! it here costs less than the dozens of packages that a PKCS #12 library would bring.

use ring::digest;

// The default password of Java's own root store, which every tool tries. It protects nothing.
const PASSWORD: &str = "changeit";
const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;

/// The store's bytes. Equal certificates (DER) with equal aliases give equal bytes.
pub(super) fn jks<'a>(certificates: impl Iterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count: u32 = 0;
    for (alias, certificate) in certificates {
        entries.extend(TRUSTED_CERTIFICATE.to_be_bytes());
        write_text(&mut entries, &alias);
        // The entry's creation time in milliseconds since 1970. It is zero, so that equal stores are equal files.
        entries.extend(0_u64.to_be_bytes());
        write_text(&mut entries, "X.509");
        entries.extend(u32::try_from(certificate.len()).unwrap_or(u32::MAX).to_be_bytes());
        entries.extend(certificate);
        count += 1;
    }
    let mut store = Vec::with_capacity(entries.len() + 32);
    for number in [MAGIC, VERSION, count] {
        store.extend(number.to_be_bytes());
    }
    store.append(&mut entries);
    let mut seal = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for unit in PASSWORD.encode_utf16() {
        seal.update(&unit.to_be_bytes());
    }
    seal.update(b"Mighty Aphrodite");
    seal.update(&store);
    store.extend(seal.finish().as_ref());
    store
}

/// Writes ASCII text as Java's `DataOutput.writeUTF` does.
fn write_text(to: &mut Vec<u8>, text: &str) {
    to.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_laid_out_as_java_reads_it() {
        let aliased = [("weir-1", b"one".as_slice()), ("system-1", b"second")];
        let store = jks(aliased.into_iter().map(|(alias, certificate)| (alias.to_owned(), certificate)));
        let entries: &[&[u8]] = &[
            &[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 2],
            &[0, 0, 0, 2, 0, 6],
            b"weir-1",
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            b"X.509",
            &[0, 0, 0, 3],
            b"one",
            &[0, 0, 0, 2, 0, 8],
            b"system-1",
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            b"X.509",
            &[0, 0, 0, 6],
            b"second",
        ];
        let entries = entries.concat();
        assert_eq!(store[..entries.len()], entries);
        assert_eq!(store.len(), entries.len() + 20);
    }
}
