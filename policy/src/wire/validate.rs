//! The validation of received bytes. All properties that readers rely on are checked here, once.
//!
//! The work is bounded by the number of bytes, and it allocates nothing.

use super::header::{FORMAT, HEADER_BYTES, Header, MAGIC, Section, checksum};
use super::hosts;
use super::image::Image;
use super::records::{Ports, RuleRecord, Span, TextRecord, UpstreamRecord, read_net};
use crate::effect::Effect;
use crate::git::GitScope;
use crate::host::Host;
use crate::limits;
use crate::mode::Mode;
use crate::scheme::Scheme;
use crate::tls::Tls;

/// An error for bytes that are not a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicyBytes {
    /// The bytes are something else entirely.
    #[error("the bytes are not a compiled policy")]
    NotAPolicy,
    /// Another version of Weir wrote the policy in another format.
    #[error("the policy is in format {0}, this version reads format {FORMAT}")]
    Format(u32),
    /// The bytes are truncated, or more bytes follow the end.
    #[error("the policy says that it has another length than it has")]
    Length,
    /// The bytes are damaged.
    #[error("the checksum does not match: the policy is damaged")]
    Checksum,
    /// The checksum is right and the content is wrong, so Weir's compiler did not write it.
    #[error("the policy is malformed: {0}")]
    Malformed(&'static str),
}

use InvalidPolicyBytes::Malformed;

impl Image {
    /// Takes bytes and validates them.
    pub(crate) fn open(bytes: Box<[u8]>) -> Result<Image, InvalidPolicyBytes> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(InvalidPolicyBytes::NotAPolicy)?;
        if *magic != MAGIC {
            return Err(InvalidPolicyBytes::NotAPolicy);
        }
        let (format, rest) = rest.split_first_chunk::<4>().ok_or(InvalidPolicyBytes::Length)?;
        if u32::from_le_bytes(*format) != FORMAT {
            return Err(InvalidPolicyBytes::Format(u32::from_le_bytes(*format)));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(InvalidPolicyBytes::Length)?;
        if usize::try_from(u32::from_le_bytes(*length)) != Ok(bytes.len())
            || bytes.len() > limits::POLICY_BYTES
        {
            return Err(InvalidPolicyBytes::Length);
        }
        let (expected, _) = rest.split_first_chunk::<8>().ok_or(InvalidPolicyBytes::Length)?;
        let checksum = checksum(&bytes);
        if u64::from_le_bytes(*expected) != checksum {
            return Err(InvalidPolicyBytes::Checksum);
        }
        let header = Header::read(&bytes).ok_or(Malformed("header"))?;
        let image = Image { bytes, header, checksum };
        image.check_sections()?;
        image.check_texts()?;
        image.check_rules()?;
        image.check_hosts()?;
        image.check_nets()?;
        image.check_upstreams()?;
        Ok(image)
    }

    fn count(&self, section: Section) -> usize {
        self.section(section).len().checked_div(section.record_bytes()).unwrap_or(0)
    }

    /// Checks that the sections follow each other without gaps from the header to the end, each a whole number of
    /// records.
    fn check_sections(&self) -> Result<(), InvalidPolicyBytes> {
        let mut end = HEADER_BYTES;
        for section in Section::ALL {
            let range = self.header.section(section);
            if range.start != end || !range.len().is_multiple_of(section.record_bytes()) {
                return Err(Malformed("sections"));
            }
            end = range.end;
        }
        if end != self.bytes.len() {
            return Err(Malformed("sections"));
        }
        let within = self.count(Section::Rules) <= limits::RULES
            && self.count(Section::Methods) <= limits::METHODS
            && self.count(Section::Lists) <= limits::RULE_LISTS
            && self.count(Section::AddressSets) <= limits::ADDRESS_SETS
            && self.count(Section::Upstreams) <= limits::UPSTREAMS;
        within.then_some(()).ok_or(Malformed("too many records"))
    }

    /// Checks that all text is UTF-8, and that methods and paths lie within it.
    fn check_texts(&self) -> Result<(), InvalidPolicyBytes> {
        let text = core::str::from_utf8(self.section(Section::Text)).map_err(|_| Malformed("text"))?;
        for record in self.records::<8>(Section::Methods) {
            let record = TextRecord::read(record).ok_or(Malformed("method"))?;
            if record.flags != 0 || text.get(record.text.range()).is_none_or(str::is_empty) {
                return Err(Malformed("method"));
            }
        }
        for record in self.records::<8>(Section::Paths) {
            let record = TextRecord::read(record).ok_or(Malformed("path"))?;
            let pattern = text.get(record.text.range()).ok_or(Malformed("path"))?;
            let kind = record.pattern_kind().ok_or(Malformed("path"))?;
            if !pattern.starts_with('/') || (kind.prefix && !pattern.ends_with('/')) {
                return Err(Malformed("path"));
            }
        }
        Ok(())
    }

    fn check_rules(&self) -> Result<(), InvalidPolicyBytes> {
        let text = core::str::from_utf8(self.section(Section::Text)).map_err(|_| Malformed("text"))?;
        let (paths, ports) = (self.count(Section::Paths), self.count(Section::Ports));
        let methods = self.count(Section::Methods);
        let sets = self.count(Section::AddressSets);
        for record in self.records::<40>(Section::Rules) {
            let rule = RuleRecord::read(record).ok_or(Malformed("rule"))?;
            let id = text.get(rule.id.range()).ok_or(Malformed("rule id"))?;
            let known_methods =
                u32::try_from(methods).ok().and_then(|methods| u64::MAX.checked_shl(methods)).unwrap_or(0);
            let sound = !id.is_empty()
                && id.len() <= limits::RULE_ID_BYTES
                && id.bytes().all(is_id_byte)
                && rule.paths.range().end <= paths
                && rule.listed_ports.range().end <= ports
                && rule.methods & known_methods == 0
                // An omitted `ports` key means any port in a deny rule, and the scheme's default port in an allow
                // rule.
                && (rule.effect == Effect::Deny || rule.ports != Ports::Any)
                && (rule.effect == Effect::Allow || rule.mode != Mode::Open)
                && rule.addresses.is_none_or(|set| usize::from(set) < sets)
                && self.is_sound_tls(&rule);
            if !sound {
                return Err(Malformed("rule"));
            }
        }
        let rules = self.count(Section::Rules);
        let items = self.records::<2>(Section::ListItems);
        if items.iter().any(|item| usize::from(u16::from_le_bytes(*item)) >= rules) {
            return Err(Malformed("rule list"));
        }
        let lists = self.records::<8>(Section::Lists);
        if lists.iter().any(|list| Span::read(list).range().end > items.len()) {
            return Err(Malformed("rule list"));
        }
        if self.header.everywhere.is_some_and(|list| usize::from(list) >= lists.len()) {
            return Err(Malformed("rule list"));
        }
        let mut everywhere = self.rules_everywhere().map(|index| self.rule(index));
        let rego = self.needs_rego();
        if everywhere.any(|rule| rule.is_none_or(|rule| rule.effect == Effect::Allow && !rego)) {
            return Err(Malformed("rule without hosts"));
        }
        Ok(())
    }

    /// Checks that buckets follow each other without gaps, and that each entry is the text of a host in the place
    /// where a lookup finds it.
    fn check_hosts(&self) -> Result<(), InvalidPolicyBytes> {
        let lists = self.count(Section::Lists);
        let buckets = u32::try_from(self.count(Section::Buckets)).map_err(|_| Malformed("buckets"))?;
        let mut buffer = [0; 255];
        let mut end = 0usize;
        for (number, start) in (0u32..).zip(self.records::<4>(Section::Buckets)) {
            if usize::try_from(u32::from_le_bytes(*start)) != Ok(end) {
                return Err(Malformed("buckets"));
            }
            let mut entries = self.bucket(number);
            end = end.saturating_add(entries.0.len());
            for entry in entries.by_ref() {
                let name = entry.text(&mut buffer).ok_or(Malformed("host"))?;
                let hash = hosts::hash(name);
                let sound = usize::from(entry.list) < lists
                    && hosts::bucket(hash, buckets) == number
                    && entry.tag == hosts::tag(hash, name, entry.is_below());
                if !sound {
                    return Err(Malformed("host"));
                }
                if entry.is_below() && !self.has_depth_of(name) {
                    return Err(Malformed("host depths"));
                }
            }
            if !entries.0.is_empty() {
                return Err(Malformed("host"));
            }
        }
        (end == self.section(Section::Hosts).len()).then_some(()).ok_or(Malformed("buckets"))
    }

    /// Checks a rule's TLS fields. A passthrough rule allows, covers https alone, and has no conditions on requests.
    /// A deny rule has no upstream.
    fn is_sound_tls(&self, rule: &RuleRecord) -> bool {
        let upstream = match rule.upstream.map(|number| self.upstream(number)) {
            None => None,
            Some(Some(upstream)) => Some(upstream),
            Some(None) => return false,
        };
        match (rule.effect, rule.tls) {
            (Effect::Deny, tls) => tls == Tls::Intercept && upstream.is_none(),
            (Effect::Allow, Tls::Intercept) => true,
            (Effect::Allow, Tls::Passthrough) => {
                rule.schemes == Scheme::Https.bit()
                    && rule.methods == 0
                    && rule.paths.count == 0
                    && rule.git == GitScope::Any
                    && upstream.is_none_or(|upstream| !upstream.is_about_tls())
            }
        }
    }

    fn check_upstreams(&self) -> Result<(), InvalidPolicyBytes> {
        let text = core::str::from_utf8(self.section(Section::Text)).map_err(|_| Malformed("text"))?;
        let is_host =
            |name: &str| Host::parse_upstream(name.as_bytes()).is_ok_and(|host| host.as_str() == name);
        let names = self.records::<8>(Section::UpstreamNames);
        if names.iter().any(|name| !text.get(Span::read(name).range()).is_some_and(is_host)) {
            return Err(Malformed("upstream name"));
        }
        for record in self.records::<40>(Section::Upstreams) {
            let upstream = UpstreamRecord::read(record).ok_or(Malformed("upstream"))?;
            let mut hosts = [upstream.host, upstream.sni].into_iter().flatten();
            let sound = upstream.texts().all(|span| text.get(span.range()).is_some())
                && hosts.all(|span| text.get(span.range()).is_some_and(is_host))
                && upstream.client_certificate.is_some() == upstream.client_key.is_some()
                && upstream.names.range().end <= names.len();
            if !sound {
                return Err(Malformed("upstream"));
            }
        }
        Ok(())
    }

    fn has_depth_of(&self, name: &[u8]) -> bool {
        let labels = name.split(|byte| *byte == b'.').count();
        let bit = u32::try_from(labels).ok().and_then(|labels| 1u128.checked_shl(labels));
        bit.is_some_and(|bit| self.header.below_depths & bit != 0)
    }

    fn check_nets(&self) -> Result<(), InvalidPolicyBytes> {
        let nets = self.records::<18>(Section::Nets);
        if nets.iter().any(|net| read_net(net).is_none()) {
            return Err(Malformed("address"));
        }
        let sets = self.records::<8>(Section::AddressSets);
        if sets.iter().any(|set| Span::read(set).range().end > nets.len()) {
            return Err(Malformed("address set"));
        }
        let open = self.records::<4>(Section::OpenPorts);
        if open.iter().any(|[_, _, schemes, zero]| !(1..=3).contains(schemes) || *zero != 0) {
            return Err(Malformed("port"));
        }
        Ok(())
    }
}

/// Returns whether a rule's id may contain this byte. The allowed bytes are safe in headers, metrics and logs.
pub(crate) fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}
