//! Tests of the record and the response of a whole request.

use super::*;
use std::collections::HashSet;

#[test]
fn the_record_of_a_hostile_request_is_valid_and_bounded() {
    let path = [b"/\"},{\\\n\xff\xe2\x80\xae".as_slice(), &[b'a'; 5000], b"?secret=1"].concat();
    let host = InMemory::tls(Some(b"a.example"))
        .with_header(":authority", &[b'\xff'; 5000])
        .with_header(":method", &[b'"'; 5000])
        .with_header(":path", &path);
    denied(&judge(), &host);
    assert!(host.filter_state("wasm.weir").unwrap().len() < 4096);
    assert!(host.response().unwrap().body.len() < 4096);
}

#[test]
fn the_record_has_its_keys_in_order_and_no_query() {
    let host = InMemory::tls(Some(b"api.example"))
        .with_header(":authority", b"api.example:8443")
        .with_header(":path", b"/v1/x?token=secret");
    let judge = judge();
    allowed(&judge, &host);
    let record = host.record().unwrap();
    let (id, version) = (record["decision_id"].as_str().unwrap(), record["policy_version"].as_str().unwrap());
    let expected = format!(
        "{{\"effect\":\"allow\",\"reason\":\"allowed\",\"rule\":\"api\",\"decision_id\":\"{id}\",\"policy_version\":\"{version}\",\
             \"host\":\"api.example\",\"port\":8443,\"scheme\":\"https\",\"method\":\"GET\",\"path\":\"/v1/x\"}}"
    );
    assert_eq!(host.filter_state("wasm.weir").unwrap(), expected);
    assert_eq!(version.len(), 16);
}

#[test]
fn what_would_be_denied_goes_out_and_its_record_says_so() {
    let document = "mode: report
rules:
- {id: a, effect: allow, hosts: [a.example], methods: [GET], addresses: [10.0.0.0/8]}
- {id: never, effect: deny, paths: [/never], mode: enforce}
";
    let judge = judge_of(plugin_configuration(document, false));
    let request = |method: &[u8], path: &[u8]| {
        InMemory::tls(Some(b"a.example")).with_header(":method", method).with_header(":path", path)
    };
    let host = request(b"POST", b"/");
    allowed(&judge, &host);
    let record = host.filter_state("wasm.weir").unwrap();
    assert!(record.starts_with(r#"{"effect":"allow","reason":"method_not_allowed","rule":"a","#), "{record}");
    assert!(record.ends_with(r#","would_deny":true}"#), "{record}");
    assert_eq!(host.filter_state("wasm.weir_addresses").as_deref(), Some("0"));
    assert_eq!(host.counter("weir_decisions.effect.allow.reason.method_not_allowed"), 1);
    let host = request(b"GET", b"/");
    allowed(&judge, &host);
    assert_eq!(host.record().unwrap().get("would_deny"), None);
    assert_eq!(denied(&judge, &request(b"POST", b"/never")).1, "denied_by_rule");
    let host = request(b"POST", b"/").also_header("x-weir-a", b"1").broken("remove_request_header");
    assert_eq!(denied(&judge, &host), (403, "filter_failure".to_owned()));
    assert_eq!(host.record().unwrap().get("would_deny"), None);
}

#[test]
fn the_hint_names_what_was_refused_and_the_rule() {
    let api = |method: &[u8], path: &[u8]| {
        let host = InMemory::tls(Some(b"api.example"))
            .with_header(":authority", b"api.example")
            .with_header(":method", method)
            .with_header(":path", path);
        denied(&judge(), &host);
        let body: serde_json::Value = serde_json::from_slice(&host.response().unwrap().body).unwrap();
        body["hint"].as_str().unwrap().to_owned()
    };
    assert!(api(b"POST", b"/v1/x").starts_with("POST to 'api.example': "));
    assert!(api(b"POST", b"/v1/x").ends_with(" (rule 'api')"));
    assert!(api(b"GET", b"/v1/secret").ends_with(" (rule 'never')"));
}

#[test]
fn every_decision_has_an_id_of_its_own() {
    let judge = judge();
    let ids: HashSet<_> = (0..100)
        .map(|_| {
            let host = InMemory::plain();
            judged(&judge, &host);
            host.record().unwrap()["decision_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 100);
}
