//! The reader of the wire form. Every lookup is checked and has a harmless default, so reading cannot fail.

use ipnet::IpNet;

use super::header::{Header, Section};
use super::hosts::{self, Entries, Entry};
use super::records::{RuleRecord, Span, TextRecord, UpstreamRecord, read_net};
use crate::host_pattern::HostPattern;
use crate::mode::Mode;
use crate::path::pattern::PatternKind;

/// The bytes of a policy, validated by [`Image::open`], with the parsed header.
#[derive(Clone)]
pub(crate) struct Image {
    pub(super) bytes: Box<[u8]>,
    pub(super) header: Header,
    pub(super) checksum: u64,
}

/// An address set, as a span of ranges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressSetRef(Span);

impl Image {
    /// Creates the policy without rules.
    pub(crate) fn empty() -> Image {
        let end = || super::header::HEADER_BYTES..super::header::HEADER_BYTES;
        let header = Header {
            below_depths: 0,
            everywhere: None,
            mode: Mode::Enforce,
            rego: false,
            sections: core::array::from_fn(|_| end()),
        };
        let bytes = header.seal(&[]);
        let checksum = super::header::checksum(&bytes);
        Image { bytes, header, checksum }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The mode where no rule's mode applies.
    pub(crate) fn mode(&self) -> Mode {
        self.header.mode
    }

    /// Returns whether a Rego policy must also allow requests.
    pub(crate) fn needs_rego(&self) -> bool {
        self.header.rego
    }

    /// The depths of wildcards: bit n is set if some `*.` pattern has n labels after the star.
    pub(crate) fn below_depths(&self) -> u128 {
        self.header.below_depths
    }

    pub(crate) fn section(&self, section: Section) -> &[u8] {
        self.bytes.get(self.header.section(section)).unwrap_or_default()
    }

    pub(super) fn records<const N: usize>(&self, section: Section) -> &[[u8; N]] {
        self.section(section).as_chunks::<N>().0
    }

    fn text(&self, at: Span) -> &[u8] {
        self.section(Section::Text).get(at.range()).unwrap_or_default()
    }

    pub(crate) fn rules(&self) -> u16 {
        u16::try_from(self.records::<40>(Section::Rules).len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn rule(&self, index: u16) -> Option<RuleRecord> {
        self.records::<40>(Section::Rules).get(usize::from(index)).and_then(RuleRecord::read)
    }

    pub(crate) fn rule_id(&self, rule: &RuleRecord) -> &str {
        core::str::from_utf8(self.text(rule.id)).unwrap_or_default()
    }

    /// The bit of a method, if some rule names it.
    pub(crate) fn method_bit(&self, method: &[u8]) -> Option<u64> {
        let mut bit = 1u64;
        for record in self.records::<8>(Section::Methods) {
            if TextRecord::read(record).is_some_and(|record| self.text(record.text) == method) {
                return Some(bit);
            }
            bit = bit.wrapping_shl(1);
        }
        None
    }

    /// Returns whether one of the rule's path patterns matches. A rule without patterns always matches.
    pub(crate) fn path_matches(&self, rule: &RuleRecord, path: &[u8]) -> bool {
        rule.paths.count == 0 || self.patterns_of(rule).any(|(text, kind)| kind.matches(text, path))
    }

    /// Returns whether a path pattern of the rule matches that itself contains the path's first parameters (`;`).
    /// Parameters before them, which a `{…}` of the pattern took, are not the pattern's own, nor is a `;` inside of `{…}`.
    pub(crate) fn parameters_match(&self, rule: &RuleRecord, path: &[u8]) -> bool {
        let first = |path: &[u8]| {
            let end = path.iter().position(|byte| *byte == b';')?;
            let mut before = path.get(..end)?.rsplit(|byte| *byte == b'/');
            let stands_for_any = before.next().is_some_and(|segment| segment.starts_with(b"{"));
            (!stands_for_any).then(|| before.count())
        };
        let own = first(path);
        own.is_some()
            && self.patterns_of(rule).any(|(text, kind)| first(text) == own && kind.matches(text, path))
    }

    fn patterns_of(&self, rule: &RuleRecord) -> impl Iterator<Item = (&[u8], PatternKind)> {
        let patterns = self.records::<8>(Section::Paths).get(rule.paths.range()).unwrap_or_default();
        let patterns = patterns.iter().filter_map(TextRecord::read);
        patterns.filter_map(|record| Some((self.text(record.text), record.pattern_kind()?)))
    }

    /// Returns whether the rule lists the port. Valid only for rules that list ports.
    pub(crate) fn lists_port(&self, rule: &RuleRecord, port: u16) -> bool {
        let ports = self.records::<2>(Section::Ports).get(rule.listed_ports.range()).unwrap_or_default();
        ports.contains(&port.to_le_bytes())
    }

    /// Every port that an allow rule names, with its scheme bits, sorted by port.
    pub(crate) fn open_ports(&self) -> impl Iterator<Item = (u16, u8)> + '_ {
        self.records::<4>(Section::OpenPorts)
            .iter()
            .map(|[a, b, schemes, _]| (u16::from_le_bytes([*a, *b]), *schemes))
    }

    pub(crate) fn address_sets(&self) -> impl Iterator<Item = AddressSetRef> + '_ {
        self.records::<8>(Section::AddressSets).iter().map(|record| AddressSetRef(Span::read(record)))
    }

    pub(crate) fn nets(&self, set: AddressSetRef) -> impl Iterator<Item = IpNet> + '_ {
        let nets = self.records::<18>(Section::Nets).get(set.0.range()).unwrap_or_default();
        nets.iter().filter_map(read_net)
    }

    pub(crate) fn upstreams(&self) -> impl Iterator<Item = UpstreamRecord> + '_ {
        self.records::<40>(Section::Upstreams).iter().filter_map(UpstreamRecord::read)
    }

    pub(crate) fn upstream(&self, number: u16) -> Option<UpstreamRecord> {
        self.records::<40>(Section::Upstreams).get(usize::from(number)).and_then(UpstreamRecord::read)
    }

    pub(crate) fn upstream_names(&self, upstream: &UpstreamRecord) -> impl Iterator<Item = &str> + use<'_> {
        let names = self.records::<8>(Section::UpstreamNames).get(upstream.names.range());
        let names = names.unwrap_or_default().iter();
        names.map(|span| core::str::from_utf8(self.text(Span::read(span))).unwrap_or_default())
    }

    pub(crate) fn optional_text(&self, at: Option<Span>) -> Option<&str> {
        at.and_then(|at| core::str::from_utf8(self.text(at)).ok())
    }

    /// The rules without hosts, which apply to every host.
    pub(crate) fn rules_everywhere(&self) -> impl Iterator<Item = u16> + '_ {
        self.rule_list(self.header.everywhere)
    }

    /// The rules that name exactly this host, in the document's order.
    pub(crate) fn rules_of_name(&self, name: &str) -> impl Iterator<Item = u16> + '_ {
        self.rule_list(self.find(name, false))
    }

    /// The rules with a wildcard for names below this one, in the document's order.
    pub(crate) fn rules_below(&self, name: &str) -> impl Iterator<Item = u16> + '_ {
        self.rule_list(self.find(name, true))
    }

    fn rule_list(&self, list: Option<u16>) -> impl Iterator<Item = u16> + '_ {
        let list = list.and_then(|list| self.records::<8>(Section::Lists).get(usize::from(list)));
        let items = list.and_then(|list| self.records::<2>(Section::ListItems).get(Span::read(list).range()));
        items.unwrap_or_default().iter().map(|item| u16::from_le_bytes(*item))
    }

    /// Returns whether some rule names exactly this pattern.
    pub(crate) fn names(&self, pattern: &HostPattern) -> bool {
        let below = matches!(pattern, HostPattern::Below(_));
        self.find(pattern.name().as_str(), below).is_some()
    }

    /// The rule list of a pattern.
    fn find(&self, name: &str, below: bool) -> Option<u16> {
        let text = name.as_bytes();
        let hash = hosts::hash(text);
        let tag = hosts::tag(hash, text, below);
        let buckets = u32::try_from(self.records::<4>(Section::Buckets).len()).unwrap_or(0);
        let mut entries = self.bucket(hosts::bucket(hash, buckets));
        entries.find(|entry| entry.tag == tag && entry.is(text)).map(|entry| entry.list)
    }

    /// The entries of a bucket.
    pub(super) fn bucket(&self, bucket: u32) -> Entries<'_> {
        let bucket = usize::try_from(bucket).unwrap_or(usize::MAX);
        let starts = self.records::<4>(Section::Buckets);
        let at = |bucket: usize| {
            let start = starts.get(bucket).map(|start| u32::from_le_bytes(*start));
            start.and_then(|start| usize::try_from(start).ok())
        };
        let entries = self.section(Section::Hosts);
        let end = at(bucket.saturating_add(1)).unwrap_or(entries.len());
        Entries(at(bucket).and_then(|start| entries.get(start..end)).unwrap_or_default())
    }

    /// Every host pattern with its rules, in the table's order.
    pub(crate) fn patterns(
        &self,
    ) -> impl Iterator<Item = (HostPattern, impl Iterator<Item = u16> + '_)> + '_ {
        let entries = Entries(self.section(Section::Hosts));
        entries.filter_map(|entry: Entry<'_>| Some((entry.pattern()?, self.rule_list(Some(entry.list)))))
    }
}
