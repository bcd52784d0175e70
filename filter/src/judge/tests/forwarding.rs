//! Tests of allowed requests as they are forwarded.

use super::*;

#[test]
fn an_allowed_https_request_goes_out_under_its_authority() {
    for name in ["a.example", "b.example"] {
        let host = InMemory::tls(Some(name.as_bytes())).with_header(":authority", name.as_bytes());
        allowed(&judge(), &host);
        // The cluster sends and verifies the authority, unless the filter state has other names.
        assert_eq!(host.header(":authority").as_deref(), Some(name.as_bytes()));
        assert_eq!(host.filter_state("envoy.network.upstream_server_name"), None);
        assert_eq!(host.filter_state("envoy.network.upstream_subject_alt_names"), None);
        assert_eq!(host.warnings(), [] as [String; 0]);
    }
}

#[test]
fn a_plain_request_names_no_tls_upstream() {
    let host = InMemory::plain();
    allowed(&judge(), &host);
    assert_eq!(host.calls_of("set_filter_state"), 1, "the record alone");
    assert_eq!(host.header(":authority").as_deref(), Some(b"a.example".as_slice()));
}

#[test]
fn nothing_is_written_that_need_not_be() {
    let judge = judge();
    let (https, plain) = (InMemory::tls(Some(b"a.example")), InMemory::plain());
    judge.judge(&InMemory::plain());
    allowed(&judge, &https);
    assert_eq!(https.calls(), 1 + 1 + 1, "facts, record, count");
    allowed(&judge, &plain);
    assert_eq!(plain.calls_of("set_request_header") + plain.calls_of("remove_request_header"), 0);
}

#[test]
fn the_authority_goes_out_in_its_canonical_form() {
    for (sent, server_name, expected) in [
        ("A.Example", "a.example", "a.example"),
        ("a.example.", "A.EXAMPLE.", "a.example"),
        ("a.example:443", "a.example", "a.example"),
        ("API.example:8443", "api.example", "api.example:8443"),
    ] {
        let host = InMemory::tls(Some(server_name.as_bytes()))
            .with_header(":authority", sent.as_bytes())
            .with_header(":path", b"/v1/x");
        allowed(&judge(), &host);
        assert_eq!(host.header(":authority").unwrap(), expected.as_bytes(), "{sent}");
    }
}

#[test]
fn the_scheme_goes_out_as_it_was_judged() {
    let host = InMemory::tls(Some(b"a.example")).with_header(":scheme", b"http");
    allowed(&judge(), &host);
    assert_eq!(host.header(":scheme").as_deref(), Some(b"https".as_slice()));
}

#[test]
fn forged_headers_are_stripped_and_the_others_stay() {
    let forged = [
        "x-weir-decision",
        "x-envoy-original-path",
        "x-envoy-retry-on",
        "x-forwarded-host",
        "x-forwarded-for",
        "x-request-id",
        "proxy-authorization",
        "proxy-connection",
    ];
    let host =
        forged.iter().fold(InMemory::tls(Some(b"a.example")), |host, name| host.also_header(name, b"\xff"));
    let host = host
        .also_header("authorization", b"Bearer x")
        .also_header("x-weird", b"1")
        .also_header("x-forwarded-proto", b"https");
    allowed(&judge(), &host);
    for name in forged {
        assert_eq!(host.header(name), None, "{name}");
    }
    for name in ["authorization", "x-weird", "x-forwarded-proto"] {
        assert!(host.header(name).is_some(), "{name}");
    }
}
