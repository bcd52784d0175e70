//! A filter that traps at every request, to show that the other resources still deny.

/// A WebAssembly module (core specification 5.5) with the proxy-wasm ABI 0.2.1. Every function succeeds, except
/// `proxy_on_request_headers`, which is the instruction `unreachable`.
pub(crate) fn module() -> Vec<u8> {
    const I32: u8 = 0x7f;
    const UNREACHABLE: u8 = 0x00;
    const CONST_ONE: &[u8] = &[0x41, 1];
    // Each entry has name, parameters and body. A body that leaves a value has one result, and `unreachable` has any
    // type.
    let functions: [(&str, usize, &[u8]); 9] = [
        ("proxy_abi_version_0_2_1", 0, &[]),
        ("proxy_on_memory_allocate", 1, CONST_ONE),
        ("proxy_on_context_create", 2, &[]),
        ("proxy_on_vm_start", 2, CONST_ONE),
        ("proxy_on_configure", 2, CONST_ONE),
        ("proxy_on_request_headers", 3, &[UNREACHABLE]),
        ("proxy_on_done", 1, CONST_ONE),
        ("proxy_on_log", 1, &[]),
        ("proxy_on_delete", 1, &[]),
    ];
    let types = functions.map(|(_, parameters, body)| {
        let results = usize::from(!body.is_empty());
        [vec![0x60], vector(&vec![vec![I32]; parameters]), vector(&vec![vec![I32]; results])].concat()
    });
    let indices: Vec<_> = (0..functions.len()).map(leb128).collect();
    let memory = vec![0x00, 1];
    let mut exports: Vec<_> = functions
        .iter()
        .enumerate()
        .map(|(index, (name, ..))| [bytes(name.as_bytes()), vec![0x00], leb128(index)].concat())
        .collect();
    exports.push([bytes(b"memory"), vec![0x02, 0]].concat());
    let code = functions.map(|(.., body)| bytes(&[&[0x00], body, &[0x0b]].concat()));
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types),
        section(3, &indices),
        section(5, &[memory]),
        section(7, &exports),
        section(10, &code),
    ]
    .concat()
}

fn section(id: u8, items: &[Vec<u8>]) -> Vec<u8> {
    [vec![id], bytes(&vector(items))].concat()
}

fn vector(items: &[Vec<u8>]) -> Vec<u8> {
    [leb128(items.len()), items.concat()].concat()
}

fn bytes(content: &[u8]) -> Vec<u8> {
    [leb128(content.len()), content.to_vec()].concat()
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut encoded = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits fit");
        number >>= 7;
        if number == 0 {
            encoded.push(low);
            return encoded;
        }
        encoded.push(low | 0x80);
    }
}
