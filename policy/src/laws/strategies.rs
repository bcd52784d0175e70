//! Generated inputs that are likely to interact: few names, ports and segments, so that rules match often.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::path::pattern::{Case, PatternKind};
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule, ResolvedUpstream};
use crate::scheme::Scheme;
use crate::sessions::Sessions;
use crate::tls::Tls;

const HOSTS: [&str; 8] = [
    "a.example",
    "b.a.example",
    "c.b.a.example",
    "xa.example",
    "example",
    "other.test",
    "192.0.2.1",
    "[2001:db8::1]",
];
const NAMES: [&str; 6] = ["a.example", "b.a.example", "c.b.a.example", "xa.example", "example", "other.test"];
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "get"];
const SERVER_NAMES: [&[u8]; 3] = [b"", b"a.example", b"\xff"];
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

fn host() -> impl Strategy<Value = ResolvedHost<'static>> {
    let exact = select(&HOSTS[..]).prop_map(|name| ResolvedHost { name: Cow::Borrowed(name), below: false });
    let below = select(&NAMES[..]).prop_map(|name| ResolvedHost { name: Cow::Borrowed(name), below: true });
    prop_oneof![exact, below]
}

fn pattern() -> impl Strategy<Value = (String, PatternKind)> {
    let segments = vec(select(&["a", "b", "a", "b", "{x}", "a;x", "B", "a b"][..]), 0..4);
    let case = prop_oneof![4 => Just(Case::Exact), 1 => Just(Case::Ascii), 1 => Just(Case::Every)];
    (segments, any::<bool>(), case).prop_map(|(segments, prefix, case)| {
        let parameters = segments.contains(&"{x}");
        let mut text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        if prefix || text.is_empty() {
            text.push('/');
        }
        (text, PatternKind { prefix, parameters, case })
    })
}

/// The ports of a rule with this effect. An allow rule always has its own.
fn ports(effect: Effect) -> impl Strategy<Value = ResolvedPorts> {
    let silent = match effect {
        Effect::Allow => ResolvedPorts::Default,
        Effect::Deny => ResolvedPorts::Any,
    };
    prop_oneof![
        Just(ResolvedPorts::Default),
        Just(silent),
        btree_set(select(&PORTS[..]), 1..3).prop_map(ResolvedPorts::Listed),
    ]
}

/// A mode that is more often enforce, and never open for a deny rule.
fn mode(effect: Effect) -> impl Strategy<Value = Mode> {
    let open = if effect == Effect::Allow { Mode::Open } else { Mode::Enforce };
    prop_oneof![4 => Just(Mode::Enforce), 1 => Just(Mode::Report), 1 => Just(open)]
}

/// The mode of a policy.
pub(super) fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![2 => Just(Mode::Enforce), 1 => Just(Mode::Report), 1 => Just(Mode::Open)]
}

fn git() -> impl Strategy<Value = GitScope> {
    let other = select(&[GitScope::NoWrite, GitScope::Write, GitScope::InPlace][..]);
    prop_oneof![4 => Just(GitScope::Any), 2 => other]
}

fn upstream() -> impl Strategy<Value = ResolvedUpstream<'static>> {
    let host = || option::of(select(&NAMES[..]).prop_map(Cow::Borrowed));
    let file = || option::of(select(&["ca.pem", "/etc/a b.pem"][..]).prop_map(Cow::Borrowed));
    let names = btree_set(select(&NAMES[..]).prop_map(Cow::Borrowed), 0..3);
    let sessions = select(&Sessions::ALL[..]);
    (host(), option::of(select(&PORTS[..])), host(), names, file(), file(), sessions).prop_map(
        |(host, port, sni, names, ca, client, sessions)| ResolvedUpstream {
            // An upstream needs at least one key.
            host: host.or(Some(Cow::Borrowed("other.test"))),
            port,
            sni,
            names,
            ca,
            client_certificate: client.clone(),
            client_key: client,
            sessions,
        },
    )
}

/// Turns an allow rule into a passthrough rule without conditions on requests.
fn passing(rule: ResolvedRule<'static>) -> ResolvedRule<'static> {
    let upstream = rule.upstream.map(|ResolvedUpstream { host, port, .. }| ResolvedUpstream {
        host,
        port,
        ..ResolvedUpstream::default()
    });
    ResolvedRule {
        tls: Tls::Passthrough,
        schemes: BTreeSet::from([Scheme::Https]),
        methods: BTreeSet::new(),
        paths: BTreeSet::new(),
        git: GitScope::Any,
        upstream,
        ..rule
    }
}

/// A rule of any kind. It gets its id from its position later.
fn rule() -> impl Strategy<Value = ResolvedRule<'static>> {
    let allow = || (rule_of_effect(Effect::Allow), option::weighted(0.3, upstream()));
    let allow = move || allow().prop_map(|(rule, upstream)| ResolvedRule { upstream, ..rule });
    prop_oneof![5 => allow(), 1 => allow().prop_map(passing), 2 => rule_of_effect(Effect::Deny)]
}

/// A rule with this effect. It gets its id from its position later.
fn rule_of_effect(effect: Effect) -> impl Strategy<Value = ResolvedRule<'static>> {
    let hosts = btree_set(host(), 1..4).prop_map(|hosts| hosts.into_iter().collect::<Vec<_>>());
    let hosts = match effect {
        Effect::Allow => hosts.prop_map(Some).boxed(),
        Effect::Deny => option::of(hosts).boxed(),
    };
    let methods = btree_set(select(&METHODS[..]).prop_map(Cow::Borrowed), 0..3);
    let schemes = btree_set(select(&Scheme::ALL[..]), 1..=2);
    (hosts, schemes, ports(effect), methods, btree_set(pattern(), 0..3), git(), mode(effect)).prop_map(
        move |(hosts, schemes, ports, methods, paths, git, mode)| ResolvedRule {
            id: Cow::Borrowed(""),
            effect,
            hosts,
            schemes,
            ports,
            methods,
            paths,
            git,
            mode,
            addresses: Arc::default(),
            tls: Tls::Intercept,
            upstream: None,
        },
    )
}

pub(super) fn deny_rule() -> impl Strategy<Value = ResolvedRule<'static>> {
    rule_of_effect(Effect::Deny).prop_map(|rule| ResolvedRule { id: Cow::Borrowed("added"), ..rule })
}

/// The rules of a policy.
pub(super) fn rules() -> impl Strategy<Value = Vec<ResolvedRule<'static>>> {
    vec(rule(), 0..6).prop_map(|rules| {
        let numbered = rules.into_iter().enumerate();
        numbered
            .map(|(index, rule)| ResolvedRule { id: Cow::Owned(format!("rule-{index}")), ..rule })
            .collect()
    })
}

/// A request that owns its bytes.
#[derive(Clone, Debug)]
pub(super) struct OwnedRequest {
    scheme: Scheme,
    authority: Vec<u8>,
    method: Vec<u8>,
    path: Vec<u8>,
    server_name: Option<Vec<u8>>,
    tunnel: Option<Vec<u8>>,
}

impl OwnedRequest {
    /// The request's TLS connection, as a passthrough would see it.
    pub(super) fn as_connection(&self, port: u16) -> crate::Connection<'_> {
        crate::Connection { server_name: self.server_name.as_deref(), port, tunnel: self.tunnel.as_deref() }
    }

    pub(super) fn as_request(&self) -> crate::Request<'_> {
        crate::Request {
            scheme: self.scheme,
            authority: &self.authority,
            method: &self.method,
            path: &self.path,
            server_name: self.server_name.as_deref(),
            tunnel: self.tunnel.as_deref(),
        }
    }
}

/// A request that is usually well-formed.
pub(super) fn request() -> impl Strategy<Value = OwnedRequest> {
    let host = select(
        &[
            "a.example",
            "B.A.example.",
            "c.b.a.example",
            "d.c.b.a.example",
            "xa.example",
            "192.0.2.1",
            "none.test",
        ][..],
    );
    let port = prop_oneof![Just(String::new()), select(&PORTS[..]).prop_map(|port| format!(":{port}"))];
    let plain = select(&["a", "b", "c", "%61", "A", "", ".", ".."][..]);
    let odd = select(
        &["a%2fb", "a%5c", "%2561", "a;x", "b%3b", ";", "%3ba", "b%3fa", "a%23", "a%252fb", "a+b"][..],
    );
    let path = vec(prop_oneof![3 => plain, 1 => odd], 0..5);
    let end = select(
        &[
            "",
            "",
            "",
            "/info/refs",
            "/info/refs?service=git-upload-pack",
            "/info/refs/?service=git-receive-pack",
            "/git-receive-pack",
            "/git-receive-pack//",
            "/git-receive-pack;x",
            "/info/refs;x?service=git-receive-pack",
            "/git-receive-pack/..",
            "/git-receive-pack/a/..",
            "/git-upload-pack",
            "repos/a/b/forks",
            "repos/a/b/forks;x",
            "repos/a/b/pulls/c/Update-Branch",
            "repos/a/b%2fgenerate",
        ][..],
    );
    let path = (path, end).prop_map(|(path, end)| format!("/{}{end}", path.join("/")).into_bytes());
    let server_name = prop_oneof![9 => Just(None), 1 => select(&SERVER_NAMES[..]).prop_map(Some)];
    let tunnel = prop_oneof![8 => Just(false), 1 => Just(true)];
    (select(&Scheme::ALL[..]), host, port, select(&METHODS[..]), path, server_name, tunnel).prop_map(
        |(scheme, host, port, method, path, server_name, tunnel)| {
            let authority = format!("{host}{port}").into_bytes();
            OwnedRequest {
                scheme,
                method: method.as_bytes().to_vec(),
                path,
                server_name: server_name
                    .map_or_else(|| Some(host.as_bytes().to_vec()), |server_name| Some(server_name.to_vec())),
                tunnel: tunnel.then(|| authority.clone()),
                authority,
            }
        },
    )
}

/// A request of any bytes.
pub(super) fn wild_request() -> impl Strategy<Value = OwnedRequest> {
    let bytes = || {
        prop_oneof![vec(any::<u8>(), 0..300), "[a-zA-Z0-9.:/%@\\[\\]_-]{0,40}".prop_map(String::into_bytes)]
    };
    (select(&Scheme::ALL[..]), bytes(), bytes(), bytes(), option::of(bytes()), option::of(bytes())).prop_map(
        |(scheme, authority, method, path, server_name, tunnel)| OwnedRequest {
            scheme,
            authority,
            method,
            path,
            server_name,
            tunnel,
        },
    )
}
