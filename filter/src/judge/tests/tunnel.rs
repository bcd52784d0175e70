//! Tests of CONNECT.

use super::*;

#[test]
fn a_connect_is_admitted_by_port_and_by_host_only_where_asked() {
    let connect = |authority: &str| {
        InMemory::to_proxy()
            .with_header(":method", b"CONNECT")
            .with_header(":authority", authority.as_bytes())
            .without_header(":path")
            .also_header("x-envoy-upstream-rq-timeout-ms", b"1")
    };
    let host = connect("Unknown.example:443");
    allowed(&judge(), &host);
    assert_eq!(host.header("x-envoy-upstream-rq-timeout-ms"), None);
    assert_eq!(host.counter("weir_tunnels"), 1, "no decision: what comes out of it is judged by itself");
    assert_eq!(denied(&judge_with(true), &connect("unknown.example:443")).1, "host_not_allowed");
    allowed(&judge_with(true), &connect("a.example:443"));
    assert_eq!(denied(&judge(), &connect("a.example:22")).1, "port_not_allowed");
    assert_eq!(denied(&judge(), &connect("127.0.0.1:443")).1, "address_literal");
    assert_eq!(denied(&judge(), &connect("a.example")).1, "invalid_host");
}

#[test]
fn each_tunnel_has_an_upstream_connection_of_its_own() {
    for (authority, key) in [("a.example:443", "a.example:443"), ("B.example.:80", "b.example:80")] {
        let host = InMemory::to_proxy()
            .with_header(":method", b"CONNECT")
            .with_header(":authority", authority.as_bytes());
        allowed(&judge(), &host);
        assert_eq!(host.filter_state("envoy.network.upstream_server_name").as_deref(), Some(key));
        assert_eq!(host.filter_state("envoy.network.upstream_subject_alt_names"), None);
    }
}

#[test]
fn a_connect_that_is_not_to_the_proxy_is_no_connect_for_us() {
    let inside = InMemory::plain().in_tunnel(b"free.example:80");
    let redirected = InMemory::plain();
    for host in [inside, redirected, InMemory::tls(Some(b"free.example")), InMemory::tls(None)] {
        let host = host
            .with_header(":method", b"CONNECT")
            .with_header(":authority", b"free.example:80")
            .without_header(":path");
        denied(&judge(), &host);
    }
}
