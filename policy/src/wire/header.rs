//! The header: identifies the bytes and locates their sections.

use core::ops::Range;

use crate::mode::Mode;

/// The first bytes of each policy.
pub(super) const MAGIC: [u8; 8] = *b"WEIRPOL\0";
/// The version of the format. Another layout has another version.
pub(super) const FORMAT: u32 = 4;
/// The length of the header.
pub(super) const HEADER_BYTES: usize = 160;
/// The checksum covers all bytes from this offset.
pub(super) const COVERED_FROM: usize = 24;

/// The number of sections.
pub(super) const SECTIONS: usize = 14;

/// The sections of a policy's bytes, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// All text, UTF-8.
    Text,
    /// The rules, as [`super::records::RuleRecord`]s.
    Rules,
    /// Rule numbers (2 bytes each). The next section divides them into lists.
    ListItems,
    /// The start and count of each rule list.
    Lists,
    /// The entries of the host table, bucket by bucket.
    Hosts,
    /// The offset of each bucket in the entries (4 bytes).
    Buckets,
    /// The texts of the methods. A rule refers to a method by bit.
    Methods,
    /// The texts and kinds of the path patterns.
    Paths,
    /// The port numbers (2 bytes each) that rules list.
    Ports,
    /// Every port that an allow rule names, sorted: number (2), scheme bits (1), zero (1).
    OpenPorts,
    /// The start and count of each address set.
    AddressSets,
    /// The address ranges: family (1: 4 or 6), prefix length (1), address (16).
    Nets,
    /// The upstreams, as [`super::records::UpstreamRecord`]s.
    Upstreams,
    /// The offset and length of each name by which upstreams are verified.
    UpstreamNames,
}

impl Section {
    pub(super) const ALL: [Section; SECTIONS] = [
        Section::Text,
        Section::Rules,
        Section::ListItems,
        Section::Lists,
        Section::Hosts,
        Section::Buckets,
        Section::Methods,
        Section::Paths,
        Section::Ports,
        Section::OpenPorts,
        Section::AddressSets,
        Section::Nets,
        Section::Upstreams,
        Section::UpstreamNames,
    ];

    /// The size of one record, in bytes.
    pub(super) fn record_bytes(self) -> usize {
        match self {
            Section::Text | Section::Hosts => 1,
            Section::Rules | Section::Upstreams => 40,
            Section::ListItems | Section::Ports => 2,
            Section::OpenPorts | Section::Buckets => 4,
            Section::Lists
            | Section::Methods
            | Section::Paths
            | Section::AddressSets
            | Section::UpstreamNames => 8,
            Section::Nets => 18,
        }
    }
}

/// The header of a policy's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bit n is set if some `*.` pattern has n labels after the star.
    pub(super) below_depths: u128,
    /// The mode where no rule's mode applies.
    pub(super) mode: Mode,
    /// Whether a Rego policy must also allow requests that the rules allow.
    pub(super) rego: bool,
    /// The rule list of the rules without hosts.
    pub(super) everywhere: Option<u16>,
    /// The range of each section.
    pub(super) sections: [Range<usize>; SECTIONS],
}

impl Header {
    pub(super) fn section(&self, section: Section) -> Range<usize> {
        self.sections.get(section as usize).cloned().unwrap_or(0..0)
    }

    /// Reads the fields after the checksum. The caller has checked magic, format, length and checksum.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        let (below_depths, rest) = bytes.get(COVERED_FROM..HEADER_BYTES)?.split_first_chunk::<16>()?;
        let (everywhere, rest) = rest.split_first_chunk::<4>()?;
        let mut sections: [Range<usize>; SECTIONS] = core::array::from_fn(|_| 0..0);
        let (pairs, rest) = rest.as_chunks::<8>();
        let [mode, rego @ (0 | 1), 0, 0] = rest else { return None };
        for (section, [a, b, c, d, e, f, g, h]) in sections.iter_mut().zip(pairs) {
            let start = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?;
            let length = usize::try_from(u32::from_le_bytes([*e, *f, *g, *h])).ok()?;
            *section = start..start.checked_add(length)?;
        }
        Some(Header {
            below_depths: u128::from_le_bytes(*below_depths),
            mode: Mode::from_byte(*mode)?,
            rego: *rego == 1,
            everywhere: match u32::from_le_bytes(*everywhere) {
                u32::MAX => None,
                list => Some(u16::try_from(list).ok()?),
            },
            sections,
        })
    }

    /// Composes the whole block: this header, then `body`, whose sections the header already describes.
    pub(super) fn seal(&self, body: &[u8]) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES.saturating_add(body.len()));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        let length = u32::try_from(HEADER_BYTES.saturating_add(body.len())).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.below_depths.to_le_bytes());
        bytes.extend_from_slice(&self.everywhere.map_or(u32::MAX, u32::from).to_le_bytes());
        for section in &self.sections {
            bytes.extend_from_slice(&u32::try_from(section.start).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(&u32::try_from(section.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes.push(self.mode.byte());
        bytes.push(u8::from(self.rego));
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend_from_slice(body);
        let checksum = checksum(&bytes);
        if let Some(place) = bytes.get_mut(16..24) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        bytes.into_boxed_slice()
    }
}

/// Computes the correct checksum of these bytes.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes.get(COVERED_FROM..).unwrap_or_default(), u64::from(FORMAT))
}
