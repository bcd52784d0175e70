//! A compiled policy, and the questions it answers.

use core::fmt;

use crate::address_set::AddressSet;
use crate::authority::Authority;
use crate::decision::{Decision, Effect};
use crate::host::Host;
use crate::host_pattern::HostPattern;
use crate::mode::Mode;
use crate::path::Path;
use crate::reason::Reason;
use crate::request::{Connection, Request, Tunnel};
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::upstream::Upstream;
use crate::wire::{Image, InvalidPolicyBytes};

mod admit;
mod candidates;
mod decide;
mod judge;
mod pass;
mod seen_path;
mod trace;

pub use judge::Outcome;
pub use trace::{Step, Trace};

/// What is allowed. Owns its wire form and nothing else: the bytes are the policy.
#[derive(Clone)]
pub struct Policy {
    image: Image,
}

/// What a Rego policy is asked about, in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Canonical<'a> {
    /// Host and port.
    pub authority: &'a Authority,
    /// None when the path is undecided: an encoded separator, an encoded escape, or several slashes at the beginning.
    pub path: Option<&'a Path<'a>>,
}

/// The hash of a policy's content: the same for the same policy, on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyVersion(u64);

impl PolicyVersion {
    /// The hash of that policy together with what else decides, a Rego policy's bytes for instance.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> PolicyVersion {
        PolicyVersion(xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0))
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A port that some allow rule names, with one scheme that it names it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The port.
    pub number: u16,
    /// The scheme.
    pub scheme: Scheme,
}

impl Policy {
    /// Reads a policy's wire form. Checks all of it, so that every later question has an answer.
    ///
    /// # Errors
    /// [`InvalidPolicyBytes`] for damaged, cut, foreign or malformed bytes and for another format version.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Result<Policy, InvalidPolicyBytes> {
        Image::open(bytes.into()).map(|image| Policy { image })
    }

    /// The policy that allows nothing: what holds until there is a better one.
    #[must_use]
    pub fn deny_all() -> Policy {
        Policy { image: Image::empty() }
    }

    /// The wire form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.image.bytes()
    }

    /// The content's hash; displays as 16 hexadecimal digits.
    #[must_use]
    pub fn version(&self) -> PolicyVersion {
        PolicyVersion(self.image.checksum())
    }

    /// Decides a request. Total, deterministic, and without an allocation unless the path has escapes, dot segments,
    /// doubled slashes, parameters (`;`), or an escaped `?` or `#`.
    #[must_use]
    pub fn decide<'p>(&'p self, request: &Request<'_>) -> Decision<'p> {
        self.decide_with_rego(request, |_| Err(Reason::RegoError))
    }

    /// Decides a request, and asks `rego` about what the rules allow, where the policy needs it
    /// ([`Policy::needs_rego`]); of a path that servers read in several ways, about each reading. Its reason is one of [`Reason::DeniedByRego`], [`Reason::RegoError`] and
    /// [`Reason::AmbiguousPath`]; the mode of the rule that allows, or of the document, is for it as well.
    #[must_use]
    pub fn decide_with_rego<'p>(
        &'p self,
        request: &Request<'_>,
        rego: impl FnMut(&Canonical<'_>) -> Result<(), Reason>,
    ) -> Decision<'p> {
        decide::evaluate(self, request, &mut (), rego)
    }

    /// Whether a Rego policy must agree. Asked without one ([`Policy::decide`]), this one allows nothing (`rego_error`).
    #[must_use]
    pub fn needs_rego(&self) -> bool {
        self.image.needs_rego()
    }

    /// Decides a request and says what was asked on the way: the same evaluation, watched.
    #[must_use]
    pub fn explain<'p>(&'p self, request: &Request<'_>) -> (Decision<'p>, Trace<'p>) {
        self.explain_with_rego(request, |_| Err(Reason::RegoError))
    }

    /// [`Policy::decide_with_rego`] with what was asked on the way.
    #[must_use]
    pub fn explain_with_rego<'p>(
        &'p self,
        request: &Request<'_>,
        rego: impl FnMut(&Canonical<'_>) -> Result<(), Reason>,
    ) -> (Decision<'p>, Trace<'p>) {
        let mut trace = Trace::default();
        let decision = decide::evaluate(self, request, &mut trace, rego);
        trace.find_near(self, decision.authority.as_ref());
        (decision, trace)
    }

    /// Decides a TLS connection that is not opened, by its server name and port. It must name a host (`missing_sni`,
    /// `invalid_host`), the one of its CONNECT if one carried it (`tunnel_mismatch`). Only a rule that passes TLS through
    /// can allow it; every deny rule that speaks about the host over https on that port denies it (`denied_by_rule`),
    /// whatever its methods and paths, because what is inside is not seen. In no mode is a host passed through that no
    /// such rule names.
    #[must_use]
    pub fn pass<'p>(&'p self, connection: &Connection<'_>) -> Decision<'p> {
        pass::evaluate(self, connection, &mut ())
    }

    /// [`Policy::pass`] with what was asked on the way.
    #[must_use]
    pub fn explain_pass<'p>(&'p self, connection: &Connection<'_>) -> (Decision<'p>, Trace<'p>) {
        let mut trace = Trace::default();
        let decision = pass::evaluate(self, connection, &mut trace);
        trace.find_near(self, decision.authority.as_ref());
        (decision, trace)
    }

    /// The connection of a request, if that is passed through, so that what is asked inside is not judged: over TLS, with
    /// a server name that a rule passes through.
    #[must_use]
    pub fn passed_through<'a>(&self, request: &Request<'a>) -> Option<Connection<'a>> {
        let Request { scheme, authority, method: _, path: _, sni, tunnel } = *request;
        let host = sni.filter(|_| scheme == Scheme::Https).and_then(|sni| Host::parse(sni).ok())?;
        let Authority { host: _, port } = Authority::parse(authority, scheme.default_port()).ok()?;
        self.passes_through(&host).then_some(Connection {
            server_name: sni,
            port,
            tunnel: tunnel.or(Some(authority)),
        })
    }

    /// Whether the TLS connections of a host are passed through and not opened: a rule that does so names it.
    #[must_use]
    pub fn passes_through(&self, host: &Host) -> bool {
        let mut passes = false;
        candidates::for_each(&self.image, host, |index| passes |= self.allows(index, Tls::Passthrough));
        passes
    }

    /// Decides a CONNECT at the explicit listener, before anything inside it is seen: the target must be `host:port`
    /// (`invalid_host`), no address that no rule lists (`address_literal`), on a port that some allow rule names
    /// (`port_not_allowed`); and, where the host is judged here, a host that an allow rule names on that port
    /// (`host_not_allowed`) and no deny rule forbids altogether (`denied_by_rule`). What is inside is decided again, and
    /// reported there; so outside of enforce mode a port or an address opens a tunnel. A host that is judged here does
    /// not: no certificate could be made for it, in any mode.
    #[must_use]
    pub fn admit<'p>(&'p self, tunnel: &Tunnel<'_>) -> Decision<'p> {
        admit::admit(self, tunnel)
    }

    /// Every host pattern whose requests an allow rule judges, once each, in an order that is stable but means nothing.
    pub fn hosts(&self) -> impl Iterator<Item = HostPattern> {
        self.hosts_over(Tls::Intercept)
    }

    /// Every host pattern whose TLS connections are passed through, once each, in a stable order. No host is named both
    /// here and, as it is or by a narrower pattern, in [`Policy::hosts`] for https; a wider pattern there may cover it.
    pub fn passthrough_hosts(&self) -> impl Iterator<Item = HostPattern> {
        self.hosts_over(Tls::Passthrough)
    }

    fn hosts_over(&self, tls: Tls) -> impl Iterator<Item = HostPattern> {
        self.image.patterns().filter_map(move |(pattern, mut rules)| {
            rules.any(|index| self.allows(index, tls)).then_some(pattern)
        })
    }

    fn allows(&self, rule: u16, tls: Tls) -> bool {
        self.image.rule(rule).is_some_and(|rule| rule.effect == Effect::Allow && rule.tls == tls)
    }

    /// Every port that some allow rule names, the defaults included; by number, then scheme.
    pub fn ports(&self) -> impl Iterator<Item = Port> + '_ {
        self.image.open_ports().flat_map(|(number, schemes)| {
            let named = Scheme::ALL.into_iter().filter(move |scheme| schemes & scheme.bit() != 0);
            named.map(move |scheme| Port { number, scheme })
        })
    }

    /// The distinct `addresses` lists, in the order in which the document names them first.
    /// [`crate::Rule::address_set`] is a position in it.
    pub fn address_sets(&self) -> impl Iterator<Item = AddressSet<'_>> {
        self.image.address_sets().map(|set| AddressSet::new(&self.image, set))
    }

    /// The distinct `upstream`s, in the order in which the document names them first. [`crate::Rule::upstream_number`]
    /// and [`Decision::upstream`] are positions in it.
    pub fn upstreams(&self) -> impl Iterator<Item = Upstream<'_>> {
        self.image.upstreams().map(|record| Upstream::new(&self.image, record))
    }

    /// Every host pattern of the rules that send what they judge to this [`Policy::upstreams`], once each.
    pub fn hosts_of_upstream(&self, number: u16) -> impl Iterator<Item = HostPattern> {
        let leads_there = move |index| {
            let rule = self.image.rule(index);
            rule.is_some_and(|rule| rule.upstream == Some(number) && rule.tls == Tls::Intercept)
        };
        self.image
            .patterns()
            .filter_map(move |(pattern, mut rules)| rules.any(leads_there).then_some(pattern))
    }

    /// Every rule, in order.
    pub fn rules(&self) -> impl Iterator<Item = crate::Rule<'_>> {
        (0..self.image.rules()).map(|index| crate::Rule::new(self, index))
    }

    /// Every rule that speaks about a host, in order, once each.
    #[must_use]
    pub fn rules_for(&self, host: &Host) -> Vec<crate::Rule<'_>> {
        let mut indices = std::collections::BTreeSet::new();
        candidates::for_each(&self.image, host, |index| {
            indices.insert(index);
        });
        indices.into_iter().map(|index| crate::Rule::new(self, index)).collect()
    }

    /// What becomes of a request that no rule names.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.image.mode()
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("version", &format_args!("{}", self.version()))
            .field("bytes", &self.as_bytes().len())
            .finish()
    }
}
