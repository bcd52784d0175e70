//! A ClientHello that no library would send, byte by byte (RFC 5246, 7.4.1.2).

/// Writes a hello of at most this version (1 for TLS 1.0, 3 for 1.2), with this server name.
pub(crate) fn hello(minor: u8, server_name: Option<&[u8]>) -> Vec<u8> {
    let short = |bytes: &[u8]| [length(bytes).as_slice(), bytes].concat();
    let extension = |number: u16, content: &[u8]| [number.to_be_bytes().as_slice(), &short(content)].concat();
    let name = server_name.map(|name| extension(0, &short(&[&[0], short(name).as_slice()].concat())));
    let extensions = [
        name.unwrap_or_default(),
        extension(10, &short(&[0, 29, 0, 23])), // X25519, P-256
        extension(11, &[1, 0]),                 // points as they are
        extension(13, &short(&[4, 3, 8, 4, 4, 1, 2, 3, 2, 1])), // ECDSA and RSA, SHA-256 and SHA-1
    ]
    .concat();
    // ECDHE with ECDSA or RSA, AES-128 with GCM or CBC.
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13];
    let body =
        [&[3, minor], [5; 32].as_slice(), &[0], &short(&ciphers), &[1, 0], &short(&extensions)].concat();
    let message = [&[1, 0], length(&body).as_slice(), &body].concat();
    [&[22, 3, 1], short(&message).as_slice()].concat()
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}
