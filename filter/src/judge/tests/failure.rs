//! Tests of failures, each of which is a denial.

use super::*;
use std::collections::HashSet;

#[test]
fn without_a_policy_everything_is_denied() {
    let judge = Judge::new(None, Arc::new(in_memory::counters()), Rc::default(), Rc::default());
    let connect =
        InMemory::to_proxy().with_header(":method", b"CONNECT").with_header(":authority", b"a.example:443");
    for host in [InMemory::plain(), InMemory::tls(Some(b"a.example")), connect] {
        assert_eq!(denied(&judge, &host), (403, "policy_missing".to_owned()));
    }
}

#[test]
fn a_byte_that_is_not_utf8_is_judged_in_every_fact() {
    for (name, expected) in [
        (":authority", Verdict::Stop),
        (":method", Verdict::Stop),
        (":path", Verdict::Continue),
        (":scheme", Verdict::Continue),
        ("x-weir-a", Verdict::Continue),
        ("accept", Verdict::Continue),
    ] {
        let host = InMemory::tls(Some(b"a.example")).with_header(name, b"/\xff");
        assert_eq!(judged(&judge(), &host), expected, "{name}: {:?}", host.record());
    }
    assert_eq!(denied(&judge(), &InMemory::tls(Some(b"a.example\xff"))).0, 421);
    assert_eq!(denied(&judge(), &InMemory::tls(Some(b"a.example")).in_tunnel(b"\xff")).0, 421);
}

#[test]
fn any_call_that_fails_on_the_way_to_an_allow_is_a_denial() {
    let request = || {
        InMemory::tls(Some(b"elsewhere.example"))
            .with_header(":authority", b"ELSEWHERE.example")
            .with_header(":scheme", b"http")
            .in_tunnel(b"elsewhere.example:443")
            .also_header("x-weir-a", b"1")
    };
    let whole = request();
    allowed(&judge(), &whole);
    let mut failed = HashSet::new();
    for position in 0..whole.calls() {
        let host = request().fails_at(position);
        let verdict = judge().judge(&host);
        let call = host.call_at(position);
        failed.insert(call);
        if call == "increment_counter" {
            assert_eq!(verdict, Verdict::Continue, "counting decides nothing");
            continue;
        }
        assert_eq!(verdict, Verdict::Stop, "{position}: {call}");
        assert_eq!(host.response().expect("an answer").status, 403, "{position}: {call}");
        assert_eq!(host.record().expect("a record")["reason"], "filter_failure", "{position}: {call}");
        assert_eq!(host.counter("weir_decisions.effect.deny.reason.filter_failure"), 1);
        assert_eq!(host.counted(), 1);
        assert!(host.warnings().iter().any(|warning| warning.contains(call)), "{:?}", host.warnings());
    }
    assert_eq!(failed.len(), 5, "every kind of call has failed once: {failed:?}");
}

#[test]
fn a_denial_stands_when_it_cannot_be_told() {
    for broken in ["send_local_response", "set_filter_state", "increment_counter"] {
        let host = InMemory::tls(Some(b"evil.example")).broken(broken);
        assert_eq!(judge().judge(&host), Verdict::Stop, "{broken}");
    }
}

#[test]
fn a_failure_before_the_facts_are_known_is_told_as_one() {
    let host = InMemory::plain().broken("request_headers");
    assert_eq!(denied(&judge(), &host), (403, "filter_failure".to_owned()));
}
