//! Blocks of bytes that all differ, so that a test notices a lost, doubled or moved block.

/// The length of a block.
pub(super) const BLOCK: usize = 1 << 16;

/// The blocks of one pattern, in order. Two patterns of one length are equal.
pub(super) struct Pattern {
    block: Vec<u8>,
    next: u64,
    count: u64,
}

impl Pattern {
    /// Makes a pattern of so many bytes, a multiple of [`BLOCK`].
    pub(super) fn new(length: u64) -> Self {
        // The bytes are noise (xorshift64), so that a test notices a byte that moved within a block, too.
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let words = (0..BLOCK / 8).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        Self { block: words.collect(), next: 0, count: length / BLOCK as u64 }
    }
}

impl Iterator for Pattern {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        (self.next < self.count).then(|| {
            let mut block = self.block.clone();
            block[..8].copy_from_slice(&self.next.to_le_bytes());
            self.next += 1;
            block
        })
    }
}
