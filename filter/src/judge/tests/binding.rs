//! Tests of requests that do not belong to their connection.

use super::*;
use proptest::prelude::*;

#[test]
fn https_is_not_sent_on_without_tls() {
    let host = InMemory::plain().with_header(":scheme", b"https");
    assert_eq!(denied(&judge(), &host), (403, "scheme_not_allowed".to_owned()));
    assert!(
        String::from_utf8(host.response().unwrap().body).unwrap().contains("ask the proxy for a CONNECT")
    );
}

#[test]
fn an_authority_other_than_the_sni_is_misdirected() {
    for authority in ["b.example", "a.example.b.example", "xa.example"] {
        let host = InMemory::tls(Some(b"a.example")).with_header(":authority", authority.as_bytes());
        assert_eq!(denied(&judge(), &host), (421, "sni_mismatch".to_owned()), "{authority}");
    }
    for server_name in ["127.0.0.1", "::1", "*.example", "a"] {
        let host = InMemory::tls(Some(server_name.as_bytes()));
        assert_eq!(denied(&judge(), &host), (421, "sni_mismatch".to_owned()), "{server_name}");
    }
}

#[test]
fn tls_without_sni_is_misdirected_also_where_plain_http_is_allowed() {
    assert_eq!(denied(&judge(), &InMemory::tls(None)), (421, "missing_sni".to_owned()));
}

#[test]
fn a_request_other_than_its_tunnel_is_misdirected() {
    let through = |tunnel: &[u8]| InMemory::tls(Some(b"a.example")).in_tunnel(tunnel);
    allowed(&judge(), &through(b"a.example:443"));
    allowed(&judge(), &through(b"A.example.:443"));
    for tunnel in
        [b"b.example:443".as_slice(), b"a.example:8443", b"a.example:80", b"", b"\xff:443", b"a.example:443,"]
    {
        let host = through(tunnel);
        if tunnel.is_empty() {
            // A redirected connection has no CONNECT.
            allowed(&judge(), &host);
        } else {
            assert_eq!(denied(&judge(), &host), (421, "tunnel_mismatch".to_owned()), "{tunnel:?}");
        }
    }
}

/// Generates bytes that are close to allowed ones, and arbitrary bytes.
fn hostile(near: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(near.replace("\\", "").into_bytes()),
        proptest::string::bytes_regex(&format!("(?i-u){near}[.:,@0-9\\xff]{{0,3}}")).unwrap(),
        proptest::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #[test]
    fn no_bytes_pass_under_another_name_than_their_connections(
        authority in hostile("a\\.example"),
        server_name in proptest::option::of(hostile("a\\.example")),
        tunnel in proptest::option::of(hostile("a\\.example:443")),
        method in hostile("GET"),
        path in hostile("/"),
        judge_connect_host in any::<bool>(),
    ) {
        let host = InMemory::tls(server_name.as_deref())
            .with_header(":authority", &authority)
            .with_header(":method", &method)
            .with_header(":path", &path);
        let host = tunnel.iter().fold(host, |host, tunnel| host.in_tunnel(tunnel));
        if judged(&judge_with(judge_connect_host), &host) == Verdict::Continue {
            prop_assert_eq!(host.filter_state("envoy.network.upstream_server_name"), None);
            let name = String::from_utf8(host.header(":authority").unwrap()).unwrap();
            let server_name = String::from_utf8(server_name.unwrap()).unwrap().to_ascii_lowercase();
            prop_assert_eq!(server_name.trim_end_matches('.'), name);
        }
    }
}
