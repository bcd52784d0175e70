//! The header: what the bytes are and where their sections lie.

use core::ops::Range;

use crate::mode::Mode;

pub(super) const MAGIC: [u8; 8] = *b"WEIRPOL\0";
pub(super) const FORMAT: u32 = 4;
pub(super) const HEADER_BYTES: usize = 160;
/// The checksum covers everything from here.
pub(super) const COVERED_FROM: usize = 24;

/// How many parts there are.
pub(super) const SECTIONS: usize = 14;

/// The parts of a policy's bytes, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// All text, UTF-8.
    Text,
    /// [`super::records::RuleRecord`]s.
    Rules,
    /// Rule numbers (2 bytes each), cut into lists by the next section.
    ListItems,
    /// Start and count of each rule list.
    Lists,
    /// The entries of the host table, bucket after bucket.
    Hosts,
    /// Where in the entries each bucket starts (4 bytes).
    Buckets,
    /// Texts of the methods; a rule names them by bit.
    Methods,
    /// Texts and kinds of the path patterns.
    Paths,
    /// Port numbers (2 bytes each) that rules list.
    Ports,
    /// Every port that an allow rule names: number (2), scheme bits (1), zero (1); sorted.
    OpenPorts,
    /// Start and count of each address set.
    AddressSets,
    /// Family (1: 4 or 6), prefix length (1), address (16).
    Nets,
    /// [`super::records::UpstreamRecord`]s.
    Upstreams,
    /// Offset and length of the names that upstreams are verified by.
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

    /// Bytes of one record.
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
    /// Bit n: some `*.` pattern has n labels after the star.
    pub(super) below_depths: u128,
    /// The mode where no rule's counts.
    pub(super) mode: Mode,
    /// Whether a Rego policy must agree to what the rules allow.
    pub(super) rego: bool,
    /// Rule list of the rules without hosts.
    pub(super) everywhere: Option<u16>,
    /// Where each section lies.
    pub(super) sections: [Range<usize>; SECTIONS],
}

impl Header {
    pub(super) fn section(&self, section: Section) -> Range<usize> {
        self.sections.get(section as usize).cloned().unwrap_or(0..0)
    }

    /// Reads the fields behind the checksum; the caller has checked magic, format, length and checksum.
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

    /// The whole block: this header, then `body`, whose sections the header already names.
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

/// The checksum that these bytes should carry.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes.get(COVERED_FROM..).unwrap_or_default(), u64::from(FORMAT))
}
