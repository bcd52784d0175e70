//! Tests of requests that the filter refuses before the policy judges them.

use super::*;

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused_in_every_mode() {
    for mode in ["enforce", "report", "open"] {
        let document = format!("mode: {mode}\nallowed_domains: [a.example]");
        let judge = judge_of(plugin_configuration(&document, false));
        let ask = |length: &[u8]| {
            InMemory::tls(Some(b"a.example"))
                .with_header(":authority", b"a.example")
                .also_header("content-length", length)
        };
        assert_eq!(denied(&judge, &ask(b"+5")), (400, "malformed_request".to_owned()), "{mode}");
        allowed(&judge, &ask(b"5"));
    }
}

#[test]
fn without_credentials_that_are_asked_for_nothing_gets_through_the_explicit_proxy() {
    let open = format!("mode: open\n{DOCUMENT}");
    let judge = || judge_of(asking_for(&open, &[b"YTox", b"Yjoy"]));
    let requests = || {
        let connect = InMemory::to_proxy()
            .with_header(":method", b"CONNECT")
            .with_header(":authority", b"a.example:443")
            .without_header(":path");
        [connect, InMemory::to_proxy()]
    };
    for host in requests() {
        assert_eq!(denied(&judge(), &host), (407, "proxy_credentials_required".to_owned()));
        let challenge = ("proxy-authenticate".into(), "Basic realm=\"weir\"".into());
        assert!(host.response().unwrap().headers.contains(&challenge));
        assert_eq!(host.counter("weir_decisions.effect.deny.reason.proxy_credentials_required"), 1);
    }
    for value in [b"Basic YTo".as_slice(), b"Basic \xff", b"Bearer YTox"] {
        for host in requests().map(|host| host.also_header("proxy-authorization", value)) {
            denied(&judge(), &host);
            let record = host.record().unwrap().to_string();
            let body = String::from_utf8(host.response().unwrap().body).unwrap();
            for text in [record, body, host.warnings().concat()] {
                assert!(!text.contains("YTo"), "{text}");
            }
        }
    }
    for host in requests() {
        let twice = host
            .also_header("proxy-authorization", b"Basic YTox")
            .also_header("proxy-authorization", b"Basic YTox");
        assert_eq!(denied(&judge(), &twice).0, 407);
    }
    for host in requests() {
        let host = host.also_header("proxy-authorization", b"basic Yjoy");
        assert_eq!(judge().judge(&host), Verdict::Continue);
        assert_eq!(host.header("proxy-authorization"), None);
    }
}

#[test]
fn credentials_are_asked_for_at_the_explicit_proxy_alone() {
    let judge = judge_of(asking_for(DOCUMENT, &[b"YTox"]));
    allowed(&judge, &InMemory::plain());
    allowed(&judge, &InMemory::tls(Some(b"a.example")).in_tunnel(b"a.example:443"));
    allowed(&judge, &InMemory::tls(Some(b"a.example")));
}
