//! Any request has one decision. An allowed request names an allowed host wherever it names a host.

use std::sync::LazyLock;

use weir_policy::{Connection, Effect, Host, InvalidPath, Path, Policy, Reason, Request, Scheme, Tunnel};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    weir_policy::compile(
        "allowed_domains: [read.example]
github_read_access_enabled: true
github_allowed_repos: [o/r]
rules:
- {id: below, effect: allow, hosts: ['*.below.example'], ports: [443, 8443], methods: [GET, PUT]}
- {id: paths, effect: allow, hosts: [paths.example], schemes: [http, https], paths: [/a, '/b/*', '/c/{x}/d']}
- {id: tried, effect: allow, hosts: [tried.example], methods: [GET], mode: report}
- {id: pinned, effect: allow, hosts: [pinned.example], tls: passthrough, upstream: {host: inner.example}}
- {id: sent, effect: allow, hosts: [sent.example], upstream: {host: 10.0.0.1, sni: other.example, names: [other.example]}}
- {id: never, effect: deny, hosts: [read.example, '*.below.example'], paths: ['/never/*']}",
    )
    .expect("a policy")
});

/// The five required lines of a request, and the optional sixth.
type Parts<'i> = ([&'i [u8]; 5], Option<&'i [u8]>);

/// Splits an input into lines: scheme, authority, server name (`=` means the authority's host, as an honest client sends
/// it; empty means none), method, path, and the CONNECT's authority if there is one. Lines keep the seeds readable.
fn parts(input: &[u8]) -> Option<Parts<'_>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut next = || lines.next();
    let parts = [next()?, next()?, next()?, next()?, next()?];
    Some((parts, next()))
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some(([scheme, authority, server_name, method, path], tunnel)) = parts(input) else { return };
    let https = scheme == b"https";
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    let host = authority.split(|byte| *byte == b':').next().unwrap_or_default();
    let server_name = if server_name == b"=" { Some(host) } else { Some(server_name) };
    let request = Request { scheme, authority, method, path, server_name, tunnel };
    let decision = POLICY.decide(&request);
    let (explained, trace) = POLICY.explain(&request);
    assert_eq!((decision.effect, decision.reason), (explained.effect, explained.reason));
    let connection = Connection { server_name, port: 443, tunnel };
    if POLICY.pass(&connection).effect == Effect::Allow {
        let host = server_name
            .and_then(|server_name| Host::parse(server_name).ok())
            .expect("what is passed through has a name");
        assert_eq!(host.as_str(), "pinned.example");
    }
    assert_eq!(
        decision.upstream.is_some(),
        decision.rule.is_some_and(|rule| rule.id() == "sent") && decision.effect == Effect::Allow
    );
    for judge_host in [false, true] {
        let _ = POLICY.admit(&Tunnel { authority, judge_host });
    }
    match decision.effect {
        Effect::Deny => assert!(decision.reason != Reason::Allowed && !decision.would_deny),
        Effect::Allow => {
            let authority = decision.authority.expect("an allowed request has an authority");
            let named = authority.host.as_str();
            let listed = [
                "read.example",
                "paths.example",
                "tried.example",
                "sent.example",
                "github.com",
                "api.github.com",
            ];
            assert!(
                listed.contains(&named)
                    || ["uploads.github.com", "codeload.github.com"].contains(&named)
                    || [".below.example", ".githubusercontent.com"].iter().any(|end| named.ends_with(end)),
                "{named}"
            );
            assert!(
                !https
                    || server_name.and_then(|server_name| Host::parse(server_name).ok())
                        == Some(authority.host)
            );
            assert!(Path::parse(path).err().is_none_or(InvalidPath::is_undecided));
            assert!(trace.steps.iter().any(|step| Some(step.rule) == decision.rule));
            assert_eq!(decision.would_deny, decision.reason != Reason::Allowed);
        }
    }
}
