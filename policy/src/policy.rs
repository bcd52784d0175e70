//! A compiled policy and its decisions.

use core::fmt;

use crate::address_set::AddressSet;
use crate::authority::Authority;
use crate::decision::Decision;
use crate::effect::Effect;
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

pub use judge::RuleOutcome;
pub use trace::{Step, Trace};

/// A compiled policy. It owns its wire form and nothing else: the bytes are the policy.
#[derive(Clone)]
pub struct Policy {
    image: Image,
}

/// The canonical facts of a request for a Rego policy.
#[derive(Clone, Copy, Debug)]
pub struct Canonical<'a> {
    /// The host and port.
    pub authority: &'a Authority,
    /// None when the path is undecided: an encoded separator, an encoded escape, or several slashes at the beginning.
    pub path: Option<&'a Path<'a>>,
}

/// The hash of a policy's content. Equal policies have equal hashes on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyVersion(u64);

impl PolicyVersion {
    /// Combines the hash with other bytes that influence decisions, for example those of a Rego policy.
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

/// A port that an allow rule names, with one of its schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The port.
    pub number: u16,
    /// The scheme.
    pub scheme: Scheme,
}

impl Policy {
    /// Reads a policy's wire form. It checks all of it, so that later reads cannot fail.
    ///
    /// # Errors
    /// [`InvalidPolicyBytes`] for damaged, truncated, foreign or malformed bytes and for another format version.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Result<Policy, InvalidPolicyBytes> {
        Image::open(bytes.into()).map(|image| Policy { image })
    }

    /// The policy that denies everything. It applies until a real policy is loaded.
    #[must_use]
    pub fn deny_all() -> Policy {
        Policy { image: Image::empty() }
    }

    /// The wire form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.image.bytes()
    }

    /// The hash of the policy's content. It is displayed as 16 hexadecimal digits.
    #[must_use]
    pub fn version(&self) -> PolicyVersion {
        PolicyVersion(self.image.checksum())
    }

    /// Decides a request. The decision is total and deterministic. It allocates only for a path with escapes, dot
    /// segments, doubled slashes, parameters (`;`), or an escaped `?` or `#`.
    #[must_use]
    pub fn decide<'p>(&'p self, request: &Request<'_>) -> Decision<'p> {
        self.decide_with_rego(request, |_| Err(Reason::RegoError))
    }

    /// Decides a request. For a request that the rules allow, it calls `rego` if the policy needs that
    /// ([`Policy::needs_rego`]), once for each reading of a path with several. The error of `rego` is one of
    /// [`Reason::DeniedByRego`], [`Reason::RegoError`] and [`Reason::AmbiguousPath`]. The mode of the allowing rule,
    /// or of the document, applies to such a denial too.
    #[must_use]
    pub fn decide_with_rego<'p>(
        &'p self,
        request: &Request<'_>,
        rego: impl FnMut(&Canonical<'_>) -> Result<(), Reason>,
    ) -> Decision<'p> {
        decide::evaluate(self, request, &mut (), rego)
    }

    /// Returns whether a Rego policy must also allow requests. Without one ([`Policy::decide`]), this policy allows
    /// nothing (`rego_error`).
    #[must_use]
    pub fn needs_rego(&self) -> bool {
        self.image.needs_rego()
    }

    /// Decides a request and returns a trace of the evaluation, which is the same one as for [`Policy::decide`].
    #[must_use]
    pub fn explain<'p>(&'p self, request: &Request<'_>) -> (Decision<'p>, Trace<'p>) {
        self.explain_with_rego(request, |_| Err(Reason::RegoError))
    }

    /// Decides as [`Policy::decide_with_rego`] does, and returns a trace of the evaluation.
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

    /// Decides a TLS connection that Envoy would pass through, by its server name and port. The server name must be a
    /// host (`missing_sni`, `invalid_host`), and match the connection's CONNECT if there is one (`tunnel_mismatch`).
    /// Only a passthrough rule can allow the connection, in every mode. A deny rule for the host over https on that
    /// port denies it (`denied_by_rule`), whatever its methods and paths, because the requests inside are not
    /// visible.
    #[must_use]
    pub fn pass<'p>(&'p self, connection: &Connection<'_>) -> Decision<'p> {
        pass::evaluate(self, connection, &mut ())
    }

    /// Decides as [`Policy::pass`] does, and returns a trace of the evaluation.
    #[must_use]
    pub fn explain_pass<'p>(&'p self, connection: &Connection<'_>) -> (Decision<'p>, Trace<'p>) {
        let mut trace = Trace::default();
        let decision = pass::evaluate(self, connection, &mut trace);
        trace.find_near(self, decision.authority.as_ref());
        (decision, trace)
    }

    /// Returns the TLS connection of a request if a rule passes its server name through. The policy then does not
    /// judge the requests inside.
    #[must_use]
    pub fn passed_through<'a>(&self, request: &Request<'a>) -> Option<Connection<'a>> {
        let Request { scheme, authority, method: _, path: _, server_name, tunnel } = *request;
        let host = server_name
            .filter(|_| scheme == Scheme::Https)
            .and_then(|server_name| Host::parse(server_name).ok())?;
        let Authority { host: _, port } = Authority::parse(authority, scheme.default_port()).ok()?;
        self.passes_through(&host).then_some(Connection {
            server_name,
            port,
            tunnel: tunnel.or(Some(authority)),
        })
    }

    /// Returns whether a passthrough rule names the host, so that Envoy does not terminate its TLS connections.
    #[must_use]
    pub fn passes_through(&self, host: &Host) -> bool {
        let mut passes = false;
        candidates::for_each(&self.image, host, |index| passes |= self.allows(index, Tls::Passthrough));
        passes
    }

    /// Decides a CONNECT at the explicit listener, before any request inside the tunnel.
    ///
    /// The target must be `host:port` (`invalid_host`). An address needs a rule that lists it (`address_literal`),
    /// and some allow rule must name the port (`port_not_allowed`). If the tunnel judges the host, an allow rule must
    /// name the host on that port (`host_not_allowed`), and no deny rule may forbid the whole tunnel
    /// (`denied_by_rule`).
    ///
    /// Requests inside the tunnel are decided and reported on their own. So outside enforce mode, a denied port or
    /// address still gets a tunnel. A judged host does not, in any mode, because no certificate could be made for it.
    #[must_use]
    pub fn admit<'p>(&'p self, tunnel: &Tunnel<'_>) -> Decision<'p> {
        admit::admit(self, tunnel)
    }

    /// Every host pattern for which an allow rule judges requests, without duplicates. The order is stable but
    /// arbitrary.
    pub fn hosts(&self) -> impl Iterator<Item = HostPattern> {
        self.hosts_over(Tls::Intercept)
    }

    /// Every host pattern whose TLS connections Envoy passes through, without duplicates, in a stable order.
    /// [`Policy::hosts`] never contains such a host for https, neither as itself nor in a narrower pattern. A wider
    /// pattern there may cover it.
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

    /// Every port that an allow rule names, including default ports, sorted by number and then scheme.
    pub fn ports(&self) -> impl Iterator<Item = Port> + '_ {
        self.image.open_ports().flat_map(|(number, schemes)| {
            let named = Scheme::ALL.into_iter().filter(move |scheme| schemes & scheme.bit() != 0);
            named.map(move |scheme| Port { number, scheme })
        })
    }

    /// The distinct `addresses` lists, in the order in which the document first names them.
    /// [`crate::Rule::address_set`] is an index into this list.
    pub fn address_sets(&self) -> impl Iterator<Item = AddressSet<'_>> {
        self.image.address_sets().map(|set| AddressSet::new(&self.image, set))
    }

    /// The distinct `upstream`s, in the order in which the document first names them.
    /// [`crate::Rule::upstream_number`] and [`Decision::upstream`] are indices into this list.
    pub fn upstreams(&self) -> impl Iterator<Item = Upstream<'_>> {
        self.image.upstreams().map(|record| Upstream::new(&self.image, record))
    }

    /// Every host pattern of the rules that send their requests to this one of [`Policy::upstreams`], without
    /// duplicates.
    pub fn hosts_of_upstream(&self, number: u16) -> impl Iterator<Item = HostPattern> {
        let leads_there = move |index| {
            let rule = self.image.rule(index);
            rule.is_some_and(|rule| rule.upstream == Some(number) && rule.tls == Tls::Intercept)
        };
        self.image
            .patterns()
            .filter_map(move |(pattern, mut rules)| rules.any(leads_there).then_some(pattern))
    }

    /// All rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = crate::Rule<'_>> {
        (0..self.image.rules()).map(|index| crate::Rule::new(&self.image, index))
    }

    /// All rules for a host, in order, without duplicates.
    #[must_use]
    pub fn rules_for(&self, host: &Host) -> Vec<crate::Rule<'_>> {
        let mut indices = std::collections::BTreeSet::new();
        candidates::for_each(&self.image, host, |index| {
            indices.insert(index);
        });
        indices.into_iter().map(|index| crate::Rule::new(&self.image, index)).collect()
    }

    /// The mode for requests that no rule names.
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
