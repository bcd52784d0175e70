//! Tests of the preparation of an allowed request.

use super::*;
use crate::facts::HeaderSelection;
use crate::hostcalls::in_memory::InMemory;
use weir_policy::Policy;

const DOCUMENT: &str =
    "rules: [{id: a, effect: allow, hosts: [a.example], upstream: {host: inner.example, port: 8443}}]";

fn policy() -> Policy {
    weir_policy::compile(DOCUMENT).expect("a valid policy document")
}

/// Prepares the request of `host` for this destination.
fn prepared(
    host: &InMemory,
    upstream: Option<Upstream<'_>>,
    address_set: Option<u16>,
) -> Result<(), FailedCall> {
    let headers = host.request_headers()?;
    let facts = Facts::read(&headers, HeaderSelection::Facts).unwrap();
    let authority = Authority::parse(&facts.authority, facts.scheme().default_port()).unwrap();
    prepare(host, &facts, &Destination { authority: &authority, upstream, address_set })
}

#[test]
fn a_canonical_request_needs_no_call() {
    for host in [InMemory::plain(), InMemory::tls(Some(b"a.example"))] {
        prepared(&host, None, None).unwrap();
        assert_eq!(host.calls(), 1, "the headers alone");
    }
}

#[test]
fn a_clients_header_does_not_survive_the_filters_own() {
    let policy = policy();
    let upstream = policy.upstreams().next();
    let host = InMemory::tls(Some(b"a.example")).also_header("x-weir-upstream", b"forged");
    prepared(&host, upstream, None).unwrap();
    let cluster = String::from_utf8(host.header("x-weir-upstream").unwrap()).unwrap();
    assert!(cluster.starts_with("weir_upstream_"), "{cluster}");
}

#[test]
fn an_upstream_over_plain_http_has_an_address_and_no_name() {
    let policy = policy();
    let host = InMemory::plain();
    prepared(&host, policy.upstreams().next(), Some(3)).unwrap();
    assert_eq!(host.filter_state("envoy.upstream.dynamic_host").as_deref(), Some("inner.example"));
    assert_eq!(host.filter_state("envoy.upstream.dynamic_port").as_deref(), Some("8443"));
    assert_eq!(host.filter_state("envoy.network.upstream_server_name"), None);
    assert_eq!(host.filter_state("wasm.weir_addresses").as_deref(), Some("3"));
}

#[test]
fn a_call_that_fails_ends_the_preparation() {
    let policy = policy();
    let request = || {
        InMemory::tls(Some(b"a.example"))
            .with_header(":authority", b"A.example")
            .with_header(":scheme", b"http")
            .also_header("x-weir-a", b"1")
    };
    let whole = request();
    prepared(&whole, policy.upstreams().next(), Some(0)).unwrap();
    assert_eq!(whole.calls(), 10, "headers, one removal, cluster, five filter states, authority, scheme");
    for position in 0..whole.calls() {
        let host = request().fails_at(position);
        let failed = prepared(&host, policy.upstreams().next(), Some(0)).unwrap_err();
        assert_eq!(failed.call, whole.call_at(position));
        assert_eq!(host.calls(), position + 1, "no call after the failed one");
    }
}

#[test]
fn a_tunnel_is_named_by_its_canonical_authority() {
    let host = InMemory::to_proxy().also_header("proxy-connection", b"keep-alive");
    let headers = host.request_headers().unwrap();
    let facts = Facts::read(&headers, HeaderSelection::Facts).unwrap();
    prepare_tunnel(&host, &facts, &Authority::parse(b"A.example.", 443).unwrap()).unwrap();
    assert_eq!(host.filter_state("envoy.network.upstream_server_name").as_deref(), Some("a.example:443"));
    assert_eq!(host.header("proxy-connection"), None);
}

#[test]
fn a_passed_through_connection_always_names_its_port() {
    let policy = policy();
    for (upstream, expected) in [(None, "a.example:443"), (policy.upstreams().next(), "inner.example:8443")] {
        let host = InMemory::passthrough(b"a.example", b"a.example:443");
        let headers = host.request_headers().unwrap();
        let facts = Facts::read(&headers, HeaderSelection::Facts).unwrap();
        let authority = Authority::parse(b"a.example", 443).unwrap();
        let to = Destination { authority: &authority, upstream, address_set: None };
        prepare_passthrough(&host, &facts, &to).unwrap();
        assert_eq!(host.header(":authority").as_deref(), Some(expected.as_bytes()));
        assert_eq!(host.header("x-weir-server-name"), None);
    }
}
