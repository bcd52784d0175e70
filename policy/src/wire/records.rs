//! The records, each decoded from a fixed number of bytes.

use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::path::pattern::PatternKind;
use crate::sessions::Sessions;
use crate::tls::Tls;

/// The number that stands for no address set or no upstream.
const NO_NUMBER: u16 = u16::MAX;

fn read_number(bytes: [u8; 2]) -> Option<u16> {
    Some(u16::from_le_bytes(bytes)).filter(|number| *number != NO_NUMBER)
}

/// A start and a count of records in another section, or an offset and a length in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) count: u32,
}

impl Span {
    pub(crate) fn read([a, b, c, d, e, f, g, h]: &[u8; 8]) -> Span {
        Span { start: u32::from_le_bytes([*a, *b, *c, *d]), count: u32::from_le_bytes([*e, *f, *g, *h]) }
    }

    /// The span as a range of indices.
    pub(crate) fn range(self) -> core::ops::Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(usize::try_from(self.count).unwrap_or(usize::MAX))
    }
}

/// The ports that a rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    /// The default port of the request's scheme.
    Default,
    /// The listed ports.
    Listed,
    /// Every port.
    Any,
}

/// A rule.
///
/// | offset | size | what |
/// |---|---|---|
/// | 0 | 4, 2 | id: text offset and length |
/// | 6 | 1 | effect: 0 allow, 1 deny |
/// | 7 | 1 | schemes: 1 http, 2 https |
/// | 8 | 8 | methods: a bit each, 0 is any |
/// | 16 | 4, 4 | paths: start and count, count 0 is any |
/// | 24 | 4, 2 | ports: start and count |
/// | 30 | 1 | ports: 0 default, 1 listed, 2 any |
/// | 31 | 1 | TLS: 0 intercept, 1 passthrough (allow only) |
/// | 32 | 2 | address set, or 0xFFFF |
/// | 34 | 1 | git: 0 any, 1 all but writes, 2 writes alone, 3 all but writes elsewhere over GitHub's REST API |
/// | 35 | 1 | mode: 0 enforce, 1 report, 2 open (allow only) |
/// | 36 | 2 | upstream, or 0xFFFF |
/// | 38 | 2 | zero |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleRecord {
    pub(crate) id: Span,
    pub(crate) effect: Effect,
    pub(crate) schemes: u8,
    pub(crate) methods: u64,
    pub(crate) paths: Span,
    pub(crate) ports: Ports,
    pub(crate) listed_ports: Span,
    pub(crate) addresses: Option<u16>,
    pub(crate) git: GitScope,
    pub(crate) mode: Mode,
    pub(crate) tls: Tls,
    pub(crate) upstream: Option<u16>,
}

impl RuleRecord {
    pub(crate) fn read(bytes: &[u8; 40]) -> Option<RuleRecord> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        let (methods, rest) = rest.split_first_chunk::<8>()?;
        let (paths, rest) = rest.split_first_chunk::<8>()?;
        let (ports, rest) = rest.split_first_chunk::<8>()?;
        let [a, b, c, d, e, f, effect, schemes] = first;
        let [i, j, k, l, m, n, kind, tls] = ports;
        let [x, y, git, mode, u, v, 0, 0] = rest else { return None };
        Some(RuleRecord {
            id: Span {
                start: u32::from_le_bytes([*a, *b, *c, *d]),
                count: u32::from(u16::from_le_bytes([*e, *f])),
            },
            effect: match effect {
                0 => Effect::Allow,
                1 => Effect::Deny,
                _ => return None,
            },
            schemes: if (1..=3).contains(schemes) { *schemes } else { return None },
            methods: u64::from_le_bytes(*methods),
            paths: Span::read(paths),
            ports: match kind {
                0 => Ports::Default,
                1 => Ports::Listed,
                2 => Ports::Any,
                _ => return None,
            },
            listed_ports: Span {
                start: u32::from_le_bytes([*i, *j, *k, *l]),
                count: u32::from(u16::from_le_bytes([*m, *n])),
            },
            addresses: read_number([*x, *y]),
            git: GitScope::from_byte(*git)?,
            mode: Mode::from_byte(*mode)?,
            tls: Tls::from_byte(*tls)?,
            upstream: read_number([*u, *v]),
        })
    }

    #[cfg(feature = "compile")]
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        let narrow = |count: u32| u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
        to.extend_from_slice(&self.id.start.to_le_bytes());
        to.extend_from_slice(&narrow(self.id.count));
        to.push(match self.effect {
            Effect::Allow => 0,
            Effect::Deny => 1,
        });
        to.push(self.schemes);
        to.extend_from_slice(&self.methods.to_le_bytes());
        to.extend_from_slice(&self.paths.start.to_le_bytes());
        to.extend_from_slice(&self.paths.count.to_le_bytes());
        to.extend_from_slice(&self.listed_ports.start.to_le_bytes());
        to.extend_from_slice(&narrow(self.listed_ports.count));
        to.push(match self.ports {
            Ports::Default => 0,
            Ports::Listed => 1,
            Ports::Any => 2,
        });
        to.push(self.tls.byte());
        to.extend_from_slice(&self.addresses.unwrap_or(NO_NUMBER).to_le_bytes());
        to.push(self.git.byte());
        to.push(self.mode.byte());
        to.extend_from_slice(&self.upstream.unwrap_or(NO_NUMBER).to_le_bytes());
        to.extend_from_slice(&[0; 2]);
    }
}

/// An upstream. A text of length 0 and port 0 mean that the value is absent.
///
/// | offset | size | what |
/// |---|---|---|
/// | 0 | 4, 2 | host: text offset and length |
/// | 6 | 2 | port |
/// | 8 | 4, 2 | server name |
/// | 14 | 4, 2 | names: start and count |
/// | 20 | 4, 2 | file of the roots |
/// | 26 | 4, 2 | file of the client's certificate |
/// | 32 | 4, 2 | file of its key |
/// | 38 | 1 | sessions: 0 resume, 1 none |
/// | 39 | 1 | zero |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamRecord {
    pub(crate) host: Option<Span>,
    pub(crate) port: Option<u16>,
    pub(crate) sni: Option<Span>,
    pub(crate) names: Span,
    pub(crate) ca: Option<Span>,
    pub(crate) client_certificate: Option<Span>,
    pub(crate) client_key: Option<Span>,
    pub(crate) sessions: Sessions,
}

impl UpstreamRecord {
    pub(crate) fn read(bytes: &[u8; 40]) -> Option<UpstreamRecord> {
        let (host, rest) = bytes.split_first_chunk::<6>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (spans, rest) = rest.as_chunks::<6>();
        let [sni, names, ca, client_certificate, client_key] = spans else { return None };
        let [sessions, 0] = rest else { return None };
        let text = |bytes| Some(short_span(bytes)).filter(|span| span.count != 0);
        Some(UpstreamRecord {
            host: text(host),
            port: Some(u16::from_le_bytes(*port)).filter(|port| *port != 0),
            sni: text(sni),
            names: short_span(names),
            ca: text(ca),
            client_certificate: text(client_certificate),
            client_key: text(client_key),
            sessions: Sessions::from_byte(*sessions)?,
        })
    }

    /// All texts of the upstream.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Span> {
        [self.host, self.sni, self.ca, self.client_certificate, self.client_key].into_iter().flatten()
    }

    /// Returns whether the upstream has a TLS key.
    pub(crate) fn is_about_tls(&self) -> bool {
        let Self { host: _, port: _, sni, names, ca, client_certificate, client_key, sessions } = self;
        [sni, ca, client_certificate, client_key].into_iter().any(Option::is_some)
            || names.count != 0
            || *sessions != Sessions::default()
    }

    #[cfg(feature = "compile")]
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        let nothing = Span { start: 0, count: 0 };
        let host = self.host.unwrap_or(nothing);
        let others = [
            self.sni.unwrap_or(nothing),
            self.names,
            self.ca.unwrap_or(nothing),
            self.client_certificate.unwrap_or(nothing),
            self.client_key.unwrap_or(nothing),
        ];
        to.extend_from_slice(&write_short_span(host));
        to.extend_from_slice(&self.port.unwrap_or(0).to_le_bytes());
        to.extend(others.into_iter().flat_map(write_short_span));
        to.push(self.sessions.byte());
        to.push(0);
    }
}

/// Decodes a span whose count takes two bytes.
fn short_span([a, b, c, d, e, f]: &[u8; 6]) -> Span {
    Span { start: u32::from_le_bytes([*a, *b, *c, *d]), count: u32::from(u16::from_le_bytes([*e, *f])) }
}

#[cfg(feature = "compile")]
fn write_short_span(span: Span) -> [u8; 6] {
    let [a, b, c, d] = span.start.to_le_bytes();
    let [e, f] = u16::try_from(span.count).unwrap_or(u16::MAX).to_le_bytes();
    [a, b, c, d, e, f]
}

/// A text with a byte of flags: a method (flags zero) or a path pattern.
///
/// Offset (4), length (2), flags (1), zero (1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextRecord {
    pub(crate) text: Span,
    pub(crate) flags: u8,
}

impl TextRecord {
    pub(crate) fn read(bytes: &[u8; 8]) -> Option<TextRecord> {
        let [a, b, c, d, e, f, flags, 0] = bytes else { return None };
        let count = u32::from(u16::from_le_bytes([*e, *f]));
        Some(TextRecord { text: Span { start: u32::from_le_bytes([*a, *b, *c, *d]), count }, flags: *flags })
    }

    pub(crate) fn pattern_kind(&self) -> Option<PatternKind> {
        PatternKind::from_bits(self.flags)
    }
}

/// Decodes an address range. Returns `None` for an impossible family or prefix length.
pub(crate) fn read_net(bytes: &[u8; 18]) -> Option<ipnet::IpNet> {
    let ([family, prefix], address) = bytes.split_first_chunk::<2>()?;
    let address: &[u8; 16] = address.first_chunk()?;
    match (family, address) {
        (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => {
            ipnet::Ipv4Net::new([*a, *b, *c, *d].into(), *prefix).ok().map(ipnet::IpNet::V4)
        }
        (6, address) => ipnet::Ipv6Net::new((*address).into(), *prefix).ok().map(ipnet::IpNet::V6),
        (_, _) => None,
    }
}
