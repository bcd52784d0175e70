//! The writer of the wire form. Equal rules give equal bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;

use super::header::{HEADER_BYTES, Header, SECTIONS, Section};
use super::hosts::{self, HOSTS_A_BUCKET};
use super::packing;
use super::records::{Ports, RuleRecord, Span, UpstreamRecord};
use crate::effect::Effect;
use crate::limits;
use crate::mode::Mode;
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule, ResolvedUpstream};

/// An error for a policy that exceeds a limit of the wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooLarge {
    #[error("the policy has more than {} rules", limits::RULES)]
    Rules,
    #[error("the policy names more than {} different methods", limits::METHODS)]
    Methods,
    #[error("the hosts of the policy are in more than {} different sets of rules", limits::RULE_LISTS)]
    RuleLists,
    #[error("the policy has more than {} different `addresses` lists", limits::ADDRESS_SETS)]
    AddressSets,
    #[error("the policy has more than {} different `upstream`s", limits::UPSTREAMS)]
    Upstreams,
    #[error("a host is longer than a name can be, or has other characters")]
    Host,
    #[error("the compiled policy is larger than {} bytes", limits::POLICY_BYTES)]
    Bytes,
}

/// Writes the rules in evaluation order, the mode where no rule's mode applies, and whether a Rego policy must agree.
pub(crate) fn write(resolved: &[ResolvedRule<'_>], mode: Mode, rego: bool) -> Result<Box<[u8]>, TooLarge> {
    if resolved.len() > limits::RULES {
        return Err(TooLarge::Rules);
    }
    let mut writer = Writer { mode, rego, ..Writer::default() };
    let methods: BTreeSet<&str> = resolved.iter().flat_map(|rule| &rule.methods).map(AsRef::as_ref).collect();
    writer.methods(&methods)?;
    for rule in resolved {
        writer.rule(rule, &methods)?;
    }
    writer.hosts(resolved)?;
    writer.open_ports(resolved);
    writer.seal()
}

#[derive(Default)]
struct Writer<'s> {
    sections: [Vec<u8>; SECTIONS],
    texts: HashMap<&'s str, Span>,
    lists: BTreeMap<Vec<u16>, u16>,
    address_sets: BTreeMap<&'s BTreeSet<IpNet>, u16>,
    upstreams: BTreeMap<&'s ResolvedUpstream<'s>, u16>,
    below_depths: u128,
    mode: Mode,
    rego: bool,
    everywhere: Option<u16>,
}

/// Converts a length. Lengths are checked against [`limits::POLICY_BYTES`] before the block is sealed, so a saturated
/// value never gets out.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl<'s> Writer<'s> {
    fn section(&mut self, section: Section) -> &mut Vec<u8> {
        let [
            text,
            rules,
            items,
            lists,
            hosts,
            buckets,
            methods,
            paths,
            ports,
            open,
            sets,
            nets,
            upstreams,
            upstream_names,
        ] = &mut self.sections;
        match section {
            Section::Text => text,
            Section::Rules => rules,
            Section::ListItems => items,
            Section::Lists => lists,
            Section::Hosts => hosts,
            Section::Buckets => buckets,
            Section::Methods => methods,
            Section::Paths => paths,
            Section::Ports => ports,
            Section::OpenPorts => open,
            Section::AddressSets => sets,
            Section::Nets => nets,
            Section::Upstreams => upstreams,
            Section::UpstreamNames => upstream_names,
        }
    }

    fn count(&mut self, section: Section) -> u32 {
        narrow(self.section(section).len().checked_div(section.record_bytes()).unwrap_or(0))
    }

    fn append(&mut self, text: &str) -> Span {
        let section = self.section(Section::Text);
        let span = Span { start: narrow(section.len()), count: narrow(text.len()) };
        section.extend_from_slice(text.as_bytes());
        span
    }

    fn text(&mut self, text: &'s str) -> Span {
        if let Some(span) = self.texts.get(text) {
            return *span;
        }
        let span = self.append(text);
        self.texts.insert(text, span);
        span
    }

    fn text_record(&mut self, section: Section, text: &'s str, flags: u8) {
        let span = self.text(text);
        let length = u16::try_from(span.count).unwrap_or(u16::MAX);
        let records = self.section(section);
        records.extend_from_slice(&span.start.to_le_bytes());
        records.extend_from_slice(&length.to_le_bytes());
        records.extend_from_slice(&[flags, 0]);
    }

    fn span_record(&mut self, section: Section, span: Span) {
        let records = self.section(section);
        records.extend_from_slice(&span.start.to_le_bytes());
        records.extend_from_slice(&span.count.to_le_bytes());
    }

    fn methods(&mut self, methods: &BTreeSet<&'s str>) -> Result<(), TooLarge> {
        if methods.len() > limits::METHODS {
            return Err(TooLarge::Methods);
        }
        for method in methods {
            self.text_record(Section::Methods, method, 0);
        }
        Ok(())
    }

    fn rule(&mut self, rule: &'s ResolvedRule<'_>, methods: &BTreeSet<&str>) -> Result<(), TooLarge> {
        let ResolvedRule {
            id,
            effect,
            hosts: _,
            schemes,
            ports,
            methods: wanted,
            paths,
            git,
            mode,
            addresses,
            tls,
            upstream,
        } = rule;
        let id = self.text(id);
        let bits = methods.iter().zip(0u32..).filter(|(method, _)| wanted.contains(**method));
        let bits = bits.fold(0, |bits, (_, place)| bits | 1u64.wrapping_shl(place));
        let first_path = self.count(Section::Paths);
        for (text, kind) in paths {
            self.text_record(Section::Paths, text, kind.bits());
        }
        let first_port = self.count(Section::Ports);
        let listed = match ports {
            ResolvedPorts::Default | ResolvedPorts::Any => 0,
            ResolvedPorts::Listed(listed) => {
                for port in listed {
                    self.section(Section::Ports).extend_from_slice(&port.to_le_bytes());
                }
                listed.len()
            }
        };
        let addresses = if addresses.is_empty() { None } else { Some(self.address_set(addresses)?) };
        let upstream = upstream.as_ref().map(|upstream| self.upstream(upstream)).transpose()?;
        let record = RuleRecord {
            id,
            effect: *effect,
            schemes: schemes.iter().fold(0, |bits, scheme| bits | scheme.bit()),
            methods: bits,
            paths: Span { start: first_path, count: narrow(paths.len()) },
            ports: match ports {
                ResolvedPorts::Default => Ports::Default,
                ResolvedPorts::Listed(_) => Ports::Listed,
                ResolvedPorts::Any => Ports::Any,
            },
            listed_ports: Span { start: first_port, count: narrow(listed) },
            addresses,
            git: *git,
            mode: *mode,
            tls: *tls,
            upstream,
        };
        record.write(self.section(Section::Rules));
        Ok(())
    }

    fn address_set(&mut self, nets: &'s BTreeSet<IpNet>) -> Result<u16, TooLarge> {
        if let Some(set) = self.address_sets.get(nets) {
            return Ok(*set);
        }
        let set = u16::try_from(self.address_sets.len()).map_err(|_| TooLarge::AddressSets)?;
        if usize::from(set) >= limits::ADDRESS_SETS {
            return Err(TooLarge::AddressSets);
        }
        self.address_sets.insert(nets, set);
        let start = self.count(Section::Nets);
        for net in nets {
            let (family, octets): (u8, [u8; 16]) = match net {
                IpNet::V4(net) => {
                    let [a, b, c, d] = net.addr().octets();
                    (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                }
                IpNet::V6(net) => (6, net.addr().octets()),
            };
            let section = self.section(Section::Nets);
            section.extend_from_slice(&[family, net.prefix_len()]);
            section.extend_from_slice(&octets);
        }
        self.span_record(Section::AddressSets, Span { start, count: narrow(nets.len()) });
        Ok(set)
    }

    fn upstream(&mut self, upstream: &'s ResolvedUpstream<'s>) -> Result<u16, TooLarge> {
        if let Some(number) = self.upstreams.get(upstream) {
            return Ok(*number);
        }
        let number = u16::try_from(self.upstreams.len()).map_err(|_| TooLarge::Upstreams)?;
        if usize::from(number) >= limits::UPSTREAMS {
            return Err(TooLarge::Upstreams);
        }
        self.upstreams.insert(upstream, number);
        let ResolvedUpstream { host, port, sni, names, ca, client_certificate, client_key, sessions } =
            upstream;
        let start = self.count(Section::UpstreamNames);
        for name in names {
            let span = self.text(name);
            self.span_record(Section::UpstreamNames, span);
        }
        let mut text = |text: &'s Option<Cow<'_, str>>| text.as_ref().map(|text| self.text(text));
        let record = UpstreamRecord {
            host: text(host),
            port: *port,
            sni: text(sni),
            names: Span { start, count: narrow(names.len()) },
            ca: text(ca),
            client_certificate: text(client_certificate),
            client_key: text(client_key),
            sessions: *sessions,
        };
        record.write(self.section(Section::Upstreams));
        Ok(number)
    }

    /// Returns the number of the list of these rules, which are sorted and distinct.
    fn list(&mut self, rules: &[u16]) -> Result<u16, TooLarge> {
        if let Some(list) = self.lists.get(rules) {
            return Ok(*list);
        }
        if self.lists.len() >= limits::RULE_LISTS {
            return Err(TooLarge::RuleLists);
        }
        let list = u16::try_from(self.lists.len()).map_err(|_| TooLarge::RuleLists)?;
        self.lists.insert(rules.to_vec(), list);
        let start = self.count(Section::ListItems);
        for rule in rules {
            self.section(Section::ListItems).extend_from_slice(&rule.to_le_bytes());
        }
        self.span_record(Section::Lists, Span { start, count: narrow(rules.len()) });
        Ok(list)
    }

    fn hosts(&mut self, resolved: &'s [ResolvedRule<'_>]) -> Result<(), TooLarge> {
        let numbered = || resolved.iter().zip(0u16..);
        let everywhere: Vec<u16> =
            numbered().filter(|(rule, _)| rule.hosts.is_none()).map(|(_, number)| number).collect();
        if !everywhere.is_empty() {
            self.everywhere = Some(self.list(&everywhere)?);
        }
        let named =
            numbered().flat_map(|(rule, number)| rule.hosts.iter().flatten().map(move |host| (host, number)));
        let mut named: Vec<(&ResolvedHost<'_>, u16)> = named.collect();
        named.sort_unstable();
        named.dedup();

        let mut entries = Vec::with_capacity(named.len());
        let mut rules: Vec<u16> = Vec::new();
        for group in named.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((host, _)) = group.first() else { continue };
            rules.clear();
            rules.extend(group.iter().map(|(_, rule)| *rule));
            let list = self.list(&rules)?;
            if host.below {
                let labels = narrow(host.name.split('.').count());
                self.below_depths |= 1u128.checked_shl(labels).unwrap_or(0);
            }
            entries.push(Entry { hash: hosts::hash(host.name.as_bytes()), host, list });
        }
        self.host_table(&mut entries)
    }

    fn host_table(&mut self, entries: &mut [Entry<'_>]) -> Result<(), TooLarge> {
        let buckets = u32::try_from(entries.len().div_ceil(HOSTS_A_BUCKET)).map_err(|_| TooLarge::Bytes)?;
        // The entries are already sorted by name. A stable sort keeps that order within a bucket.
        entries.sort_by_key(|entry| hosts::bucket(entry.hash, buckets));
        let mut rest = entries.iter().peekable();
        for bucket in 0..buckets {
            let start = narrow(self.section(Section::Hosts).len());
            self.section(Section::Buckets).extend_from_slice(&start.to_le_bytes());
            while let Some(entry) = rest.next_if(|entry| hosts::bucket(entry.hash, buckets) == bucket) {
                let Entry { hash, host, list } = entry;
                let name = host.name.as_bytes();
                let section = self.section(Section::Hosts);
                section.push(hosts::tag(*hash, name, host.below));
                section.push(u8::try_from(name.len()).map_err(|_| TooLarge::Host)?);
                section.extend_from_slice(&list.to_le_bytes());
                packing::pack(name, section).ok_or(TooLarge::Host)?;
            }
        }
        Ok(())
    }

    fn open_ports(&mut self, resolved: &[ResolvedRule<'_>]) {
        let mut open: BTreeMap<u16, u8> = BTreeMap::new();
        for rule in resolved.iter().filter(|rule| rule.effect == Effect::Allow) {
            for scheme in &rule.schemes {
                let default = BTreeSet::from([scheme.default_port()]);
                let ports = match &rule.ports {
                    ResolvedPorts::Listed(ports) => ports,
                    ResolvedPorts::Default | ResolvedPorts::Any => &default,
                };
                for port in ports {
                    *open.entry(*port).or_default() |= scheme.bit();
                }
            }
        }
        for (port, schemes) in open {
            let [low, high] = port.to_le_bytes();
            self.section(Section::OpenPorts).extend_from_slice(&[low, high, schemes, 0]);
        }
    }

    fn seal(mut self) -> Result<Box<[u8]>, TooLarge> {
        let total =
            self.sections.iter().fold(HEADER_BYTES, |total, section| total.saturating_add(section.len()));
        if total > limits::POLICY_BYTES {
            return Err(TooLarge::Bytes);
        }
        let mut body = Vec::with_capacity(total);
        let mut ranges = core::array::from_fn(|_| 0..0);
        for (range, section) in ranges.iter_mut().zip(Section::ALL) {
            let start = HEADER_BYTES.saturating_add(body.len());
            let section = core::mem::take(self.section(section));
            *range = start..start.saturating_add(section.len());
            body.extend_from_slice(&section);
        }
        let header = Header {
            below_depths: self.below_depths,
            mode: self.mode,
            rego: self.rego,
            everywhere: self.everywhere,
            sections: ranges,
        };
        Ok(header.seal(&body))
    }
}

/// A host pattern that will become an entry of the host table.
struct Entry<'d> {
    hash: u64,
    host: &'d ResolvedHost<'d>,
    list: u16,
}
