//! Tests of upstream connections that serve one client's connection alone.

use super::*;
use crate::configuration::tests::SEPARATE_POOLS;

const SEPARATED: &str = "wasm.weir_separated";

/// A request for `a.example` on the connection of this number.
fn request(connection: u64, number: u32) -> InMemory {
    InMemory::tls(Some(b"a.example")).numbered(connection, number)
}

/// A request for `b.example`.
fn to_another_host(connection: u64, number: u32) -> InMemory {
    let host = InMemory::tls(Some(b"b.example")).with_header(":authority", b"b.example");
    host.numbered(connection, number)
}

fn authenticated(connection: u64, number: u32) -> InMemory {
    request(connection, number).also_header("authorization", b"NTLM TlRMTVNTUAAB")
}

#[test]
fn credentials_of_a_connection_separate_it_from_those_of_other_clients() {
    let judge = judge();
    let before = request(1, 1);
    allowed(&judge, &before);
    assert_eq!(before.filter_state(SEPARATED), None);
    for (host, expected) in [
        (authenticated(1, 2), Some("[0:0:0:0:0:0:0:1]:1")),
        (request(1, 3), Some("[0:0:0:0:0:0:0:1]:1")),
        (request(2, 4), None),
        (to_another_host(1, 5), None),
        (authenticated(2, 6), Some("[0:0:0:0:0:0:0:2]:1")),
    ] {
        allowed(&judge, &host);
        assert_eq!(host.filter_state(SEPARATED).as_deref(), expected);
    }
}

#[test]
fn a_request_that_needs_one_connection_too_many_is_overloaded() {
    let judge = judge();
    for number in 0..SEPARATE_POOLS.into() {
        allowed(&judge, &authenticated(number.into(), number));
    }
    let beyond = authenticated(99, 99);
    assert_eq!(denied(&judge, &beyond), (503, "overloaded".to_owned()));
    assert!(beyond.warnings().is_empty(), "a client could fill the log");
    allowed(&judge, &request(99, 100));
    allowed(&judge, &authenticated(0, 101));
}

#[test]
fn a_request_without_such_credentials_makes_no_call_more() {
    let judge = judge();
    let (alone, beside) = (request(1, 1), request(1, 1));
    allowed(&judge, &alone);
    allowed(&judge, &to_another_host(1, 2).also_header("authorization", b"NTLM x"));
    allowed(&judge, &beside);
    assert_eq!(beside.calls(), alone.calls());
}

#[test]
fn a_failed_call_is_a_denial() {
    for call in ["connection_id", "monotonic_time", "set_filter_state"] {
        let host = authenticated(1, 1).broken(call);
        assert_eq!(judge().judge(&host), Verdict::Stop, "{call}");
    }
}
