//! Tests of reading facts.

use super::*;
use crate::hostcalls::in_memory::InMemory;
use crate::hostcalls::{Header, Hostcalls};

/// Reads what a host says of its request.
fn with_facts<T>(host: &InMemory, look: impl FnOnce(&Facts<'_>) -> T) -> T {
    look(&Facts::read(&host.request_headers().unwrap(), HeaderSelection::Facts).unwrap())
}

#[test]
fn tls_without_sni_is_https_and_not_http() {
    with_facts(&InMemory::tls(None).with_header(":scheme", b"http"), |facts| {
        assert_eq!(facts.scheme(), Scheme::Https);
        assert_eq!(facts.server_name, None);
    });
}

#[test]
fn the_claimed_scheme_does_not_make_tls() {
    with_facts(&InMemory::plain().with_header(":scheme", b"HTTPS"), |facts| {
        assert_eq!(facts.scheme(), Scheme::Http);
        assert!(facts.claims_https_without_tls());
    });
}

#[test]
fn no_client_can_say_what_its_connection_is() {
    for forged in [b"tls/b.example/".as_slice(), b"explicit", b"passthrough", b"", b"\xff"] {
        let host = InMemory::tls(Some(b"a.example")).also_header("x-weir-connection", forged);
        with_facts(&host, |facts| {
            assert_eq!((facts.tls, facts.to_proxy, facts.passthrough), (true, false, false));
            assert_eq!(facts.server_name.as_deref(), Some(b"a.example".as_slice()));
            assert_eq!(facts.unwanted_headers, [] as [&[u8]; 0], "the route removes all of that name");
        });
    }
}

#[test]
fn what_envoy_adds_does_not_go_on_and_is_not_removed_here() {
    let host = InMemory::plain()
        .also_header("x-envoy-external-address", b"127.0.0.1")
        .also_header("x-forwarded-proto", b"http")
        .also_header("accept", b"*/*");
    let headers = host.request_headers().unwrap();
    let facts = Facts::read(&headers, HeaderSelection::Forwarded).unwrap();
    assert_eq!(facts.headers, [("accept", b"*/*".as_slice())]);
    assert_eq!(facts.unwanted_headers, [] as [&[u8]; 0]);
}

#[test]
fn only_a_plain_number_is_a_length() {
    for plain in ["0", "5", "10", "999999999999999999"] {
        assert!(is_plain_length(plain.as_bytes()), "{plain}");
    }
    for odd in
        ["", "+5", "-5", " 5", "5 ", "\t5", "005", "00", "0x5", "5,5", "5, 5", "5.0", "1000000000000000000"]
    {
        assert!(!is_plain_length(odd.as_bytes()), "{odd}");
    }
}

#[test]
fn one_odd_length_among_several_is_enough() {
    let host = InMemory::plain().also_header("content-length", b"+5").also_header("content-length", b"5");
    with_facts(&host, |facts| assert!(facts.ambiguous_length));
}

#[test]
fn two_hosts_become_none() {
    let host = InMemory::plain().with_header(":authority", b"a.example").also_header("host", b"b.example");
    with_facts(&host, |facts| assert_eq!(*facts.authority, *b"a.example\0b.example"));
}

#[test]
fn only_a_connect_to_the_proxy_asks_for_a_tunnel() {
    let asks_for_tunnel = |host: &InMemory| {
        Facts::read(&host.request_headers().unwrap(), HeaderSelection::Facts).unwrap().asks_for_tunnel()
    };
    let asks = |host: InMemory| asks_for_tunnel(&host.with_header(":method", b"CONNECT"));
    assert!(asks(InMemory::to_proxy()));
    assert!(!asks(InMemory::plain()));
    assert!(!asks(InMemory::plain().in_tunnel(b"a.example:80")));
    assert!(!asks(InMemory::tls(None)));
    assert!(!asks(InMemory::tls(Some(b"a.example"))));
    assert!(!asks_for_tunnel(&InMemory::to_proxy()));
}

#[test]
fn unwanted_headers_are_named_once() {
    let host = InMemory::plain()
        .also_header("x-weir-decision", b"1")
        .also_header("x-weir-decision", b"2")
        .also_header("proxy-authorization", b"Basic eA==")
        .also_header("x-request-id", b"1")
        .also_header("x-weird", b"1")
        .also_header("accept", b"*/*");
    with_facts(&host, |facts| {
        let unwanted: [&[u8]; 3] = [b"x-weir-decision", b"proxy-authorization", b"x-request-id"];
        assert_eq!(facts.unwanted_headers, unwanted);
    });
}

#[test]
fn a_connection_of_which_nothing_is_known_is_no_connection() {
    for (line, forged) in [(None, false), (Some(b"tsl/a.example/".to_vec()), true), (Some(Vec::new()), true)]
    {
        let mut host = InMemory::plain();
        host.connection = line;
        let host = if forged { host.also_header("x-weir-connection", b"tls/a.example/") } else { host };
        let headers = host.request_headers().unwrap();
        let invalid = Facts::read(&headers, HeaderSelection::Facts).unwrap_err();
        assert_eq!(invalid, InvalidFacts::Connection);
    }
}

#[test]
fn malformed_headers_are_not_facts() {
    let mut host = InMemory::plain();
    host.malformed = true;
    let headers = host.request_headers().unwrap();
    let invalid = Facts::read(&headers, HeaderSelection::Facts).unwrap_err();
    assert_eq!(invalid, InvalidFacts::Headers(MalformedHeaders));
}

#[test]
fn a_header_name_that_is_not_text_is_not_overlooked_by_a_policy_that_reads_headers() {
    let headers = [(&b"x\xff"[..], &b"1"[..]), (b"x-weir-connection", b"plain//")];
    assert!(Facts::read(&Slice(&headers), HeaderSelection::Facts).is_ok());
    let invalid = Facts::read(&Slice(&headers), HeaderSelection::Forwarded).unwrap_err();
    assert_eq!(invalid, InvalidFacts::Name);
}

struct Slice<'s>(&'s [Header<'s>]);

impl RequestHeaders for Slice<'_> {
    fn pairs(&self) -> impl Iterator<Item = Result<Header<'_>, MalformedHeaders>> {
        self.0.iter().map(|header| Ok(*header))
    }
}
