//! Tests of a Rego policy beside the policy.

use super::*;
use crate::configuration::tests::allowing_method;

#[test]
fn what_rego_denies_is_denied_in_its_words() {
    let judge = judge_of(allowing_method("GET"));
    let ask = |method: &[u8]| {
        InMemory::tls(Some(b"a.example"))
            .with_header(":authority", b"a.example")
            .with_header(":method", method)
    };
    allowed(&judge, &ask(b"GET"));
    let host = ask(b"PUT");
    assert_eq!(denied(&judge, &host), (451, "denied_by_rego".to_owned()));
    assert_eq!(host.record().unwrap()["rego_reason"], "no");
    // Not text, and the policy reads it.
    let host = ask(b"G\xff");
    assert_eq!(judged(&judge, &host), Verdict::Stop);
}
