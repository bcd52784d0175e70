//! Tests of the response to a denied request.

use super::*;
use crate::decision_id::DecisionIds;
use crate::facts::{Facts, HeaderSelection};
use crate::hostcalls::Hostcalls;
use crate::hostcalls::in_memory::InMemory;
use crate::rego::RegoDenial;
use serde_json::Value;
use weir_policy::Decision;

/// The response to a request that is denied for this reason, and its body.
fn denied(host: &InMemory, reason: Reason, rego_denial: Option<RegoDenial>) -> (LocalResponse, Value) {
    let headers = host.request_headers().unwrap();
    let facts = Facts::read(&headers, HeaderSelection::Facts).unwrap();
    let authority = Authority::parse(&facts.authority, 443).ok();
    let decision = Decision::deny(reason, None, authority);
    let id = DecisionIds::default().draw();
    let response =
        response(&JudgedRequest { id, policy_version: None, facts: &facts, decision, rego_denial });
    let body = serde_json::from_slice(&response.body).expect("a body of JSON");
    (response, body)
}

fn has(response: &LocalResponse, name: &str, value: &str) -> bool {
    response.headers.iter().any(|header| *header == (name.into(), value.into()))
}

#[test]
fn a_response_has_the_status_and_the_word_of_its_reason() {
    for reason in Reason::ALL {
        let (response, body) = denied(&InMemory::plain(), reason, None);
        assert_eq!(response.status, reason.status());
        assert_eq!(body["reason"], reason.as_str());
        assert!(has(&response, "x-weir-decision", reason.as_str()), "{reason:?}");
        assert!(has(&response, "content-type", "application/json"), "{reason:?}");
        assert!(has(&response, "cache-control", "no-store"), "{reason:?}");
        let exceptions =
            [(Reason::MalformedRequest, "invalid_request"), (Reason::Overloaded, "upstream_failure")];
        let exception = exceptions.iter().find(|(exception, _)| *exception == reason);
        assert_eq!(body["error"]["type"], exception.map_or("denied_by_policy", |(_, kind)| kind));
        assert!(body["hint"].as_str().unwrap().ends_with(reason.hint()), "{reason:?}");
    }
}

#[test]
fn only_a_407_challenges_the_client() {
    for reason in Reason::ALL {
        let (response, _) = denied(&InMemory::plain(), reason, None);
        let challenges = has(&response, "proxy-authenticate", "Basic realm=\"weir\"");
        assert_eq!(challenges, response.status == 407, "{reason:?}");
    }
}

#[test]
fn the_body_names_the_request_without_its_query() {
    let host = InMemory::plain()
        .with_header(":path", b"/a?token=secret")
        .with_header(":authority", b"A.example:8443");
    let (_, body) = denied(&host, Reason::PortNotAllowed, None);
    assert_eq!(
        (&body["host"], &body["path"], &body["method"]),
        (&"a.example".into(), &"/a".into(), &"GET".into())
    );
    assert!(body["hint"].as_str().unwrap().starts_with("port 8443 of 'a.example': "));
    assert!(!body.to_string().contains("secret"));
}

#[test]
fn a_rego_denial_counts_only_where_the_request_is_denied_for_it() {
    let rego_denial = RegoDenial {
        reason: Some("not \"today\"".to_owned()),
        status: Some(451),
        body: Some("ask again".to_owned()),
        headers: vec![("retry-after".to_owned(), "60".to_owned())],
    };
    let (response, body) = denied(&InMemory::plain(), Reason::DeniedByRego, Some(rego_denial.clone()));
    assert_eq!(response.status, 451);
    assert!(has(&response, "retry-after", "60"));
    assert_eq!((&body["rego_reason"], &body["rego_body"]), (&"not \"today\"".into(), &"ask again".into()));
    let (response, body) = denied(&InMemory::plain(), Reason::HostNotAllowed, Some(rego_denial));
    assert_eq!(response.status, Reason::HostNotAllowed.status());
    assert!(!has(&response, "retry-after", "60"));
    assert_eq!(body.get("rego_reason"), None);
}
