//! Tests of reading access log entries as decisions.

use envoy_types::pb::envoy::data::accesslog::v3::{
    HttpRequestProperties, HttpResponseProperties, ResponseFlags,
};
use envoy_types::pb::google::protobuf::UInt32Value;
use envoy_types::util::pack_any;

use super::*;
use crate::nodes::identity::tests::node;

impl LoggedDecision {
    /// Reads an entry of some node.
    pub(crate) fn of_entry(listener: &str, entry: &HttpAccessLogEntry) -> Option<Self> {
        Self::read(&node(1), listener, entry, &mut false)
    }
}

const ALLOWED: &str = r#"{"effect":"allow","reason":"allowed","rule":"r","decision_id":"1","policy_version":"2","host":"a.example","port":443,"scheme":"https","method":"GET","path":"/"}"#;

/// Makes a decision with this effect.
pub(crate) fn decision(effect: &str) -> LoggedDecision {
    let record = ALLOWED.replace("allow\"", &format!("{effect}\""));
    LoggedDecision::of_entry("weir_intercept", &entry(&record, "via_upstream", 200)).unwrap()
}

fn entry(record: &str, details: &str, status: u32) -> HttpAccessLogEntry {
    let record = pack_any(StringValue { value: record.to_owned() });
    HttpAccessLogEntry {
        common_properties: Some(AccessLogCommon {
            filter_state_objects: [(weir_contract::filter_state::RECORD.to_owned(), record)].into(),
            response_flags: Some(ResponseFlags::default()),
            ..AccessLogCommon::default()
        }),
        response: Some(HttpResponseProperties {
            response_code: Some(UInt32Value { value: status }),
            response_code_details: details.to_owned(),
            ..HttpResponseProperties::default()
        }),
        ..HttpAccessLogEntry::default()
    }
}

#[test]
fn the_name_is_verified_only_when_the_upstream_answered() {
    let answered = LoggedDecision::of_entry("weir_intercept", &entry(ALLOWED, "via_upstream", 200)).unwrap();
    assert_eq!(answered.upstream_names, ["a.example"]);
    let failed = LoggedDecision::of_entry(
        "weir_intercept",
        &entry(ALLOWED, "upstream_reset_before_response_started", 503),
    )
    .unwrap();
    assert_eq!(failed.upstream_names, [""; 0]);
}

#[test]
fn an_open_request_has_a_line_that_says_so_and_only_if_it_was_forwarded() {
    let open = |record: &str| {
        let mut entry = entry(record, "", 0);
        entry.common_properties.as_mut().unwrap().access_log_type = AccessLogType::DownstreamPeriodic as i32;
        LoggedDecision::of_entry("weir_intercept", &entry)
    };
    let line = |decision: &LoggedDecision| serde_json::to_value(decision).unwrap();
    assert_eq!(line(&open(ALLOWED).unwrap())["phase"], "open");
    assert_eq!(open(&ALLOWED.replace("allow\"", "deny\"")), None);
    assert_eq!(open("no record"), None);
    let ended = LoggedDecision::of_entry("weir_intercept", &entry(ALLOWED, "via_upstream", 200)).unwrap();
    assert_eq!(line(&ended)["phase"], "end");
}

#[test]
fn the_certificates_own_names_are_shown_where_envoy_tells_them() {
    let mut entry = entry(ALLOWED, "via_upstream", 200);
    let many: Vec<_> = (0..40).map(|number| format!("n{number}.example")).collect();
    let common = entry.common_properties.as_mut().unwrap();
    let names = format!("{},a.example", many.join(","));
    common.custom_tags =
        [(names::PEER_NAMES.to_owned(), names), (names::PEER_TLS.to_owned(), "TLSv1.3".into())].into();
    let decision = LoggedDecision::of_entry("weir_intercept", &entry).unwrap();
    assert_eq!(
        (decision.upstream_names.len(), decision.upstream_names[0].as_str()),
        (MOST_NAMES, "a.example")
    );
    assert_eq!(decision.upstream_tls.as_deref(), Some("TLSv1.3"));
    // Without TLS, Envoy sends the tags with empty values.
    let common = entry.common_properties.as_mut().unwrap();
    common.custom_tags.values_mut().for_each(String::clear);
    assert_eq!(LoggedDecision::of_entry("weir_intercept", &entry).unwrap().upstream_tls, None);
}

#[test]
fn a_wildcard_covers_one_label() {
    for (name, host, expected) in [
        ("a.example", "a.example", true),
        ("*.example", "a.example", true),
        ("*.example", "b.a.example", false),
        ("*.example", "example", false),
        ("b.example", "a.example", false),
    ] {
        assert_eq!(covers(name, host), expected, "{name} {host}");
    }
}

#[test]
fn the_address_guard_turns_an_allow_into_a_deny() {
    let entry = entry(ALLOWED, "rbac_access_denied_matched_policy[none]", 403);
    let decision = LoggedDecision::of_entry("weir_intercept", &entry).unwrap();
    assert_eq!(
        (decision.record.effect.as_str(), decision.record.reason.as_str(), decision.record.sni),
        ("deny", "address_not_allowed", None)
    );
}

#[test]
fn what_would_be_denied_is_said_and_only_then() {
    let line = |record: &str| {
        serde_json::to_value(
            LoggedDecision::of_entry("weir_intercept", &entry(record, "via_upstream", 200)).unwrap(),
        )
        .unwrap()
    };
    let would = ALLOWED.replace("\"allowed\"", "\"host_not_allowed\"").replace('}', ",\"would_deny\":true}");
    assert_eq!(
        (&line(&would)["would_deny"], &line(&would)["reason"]),
        (&true.into(), &"host_not_allowed".into())
    );
    assert_eq!(line(ALLOWED)["would_deny"], false);
}

#[test]
fn a_certificate_that_was_not_verified_is_the_reason() {
    let mut entry = entry(ALLOWED, "upstream_reset_before_response_started", 503);
    let common = entry.common_properties.as_mut().unwrap();
    common.upstream_transport_failure_reason =
        "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED".to_owned();
    let decision = LoggedDecision::of_entry("weir_intercept", &entry).unwrap();
    assert_eq!(decision.record.reason, Reason::CertificateNotVerified);
    assert!(decision.cause.is_some() && decision.failure.is_some());
}

#[test]
fn what_the_filter_left_no_record_of_is_a_denial_with_its_reason() {
    for (details, status, reason) in [
        ("http1.codec_error", 400, "malformed_request"),
        ("http2.violation.of.messaging.rule", 0, "malformed_request"),
        ("something new", 404, "malformed_request"),
        ("upgrade_failed", 501, "unsupported_request"),
        ("overload", 503, "overloaded"),
        ("something_new", 503, "filter_failure"),
        ("", 403, "filter_failure"),
    ] {
        let mut entry = entry("", details, status);
        entry.common_properties.as_mut().unwrap().filter_state_objects.clear();
        let path = format!("/{}?secret", "a".repeat(1000));
        entry.request = Some(HttpRequestProperties { path, ..HttpRequestProperties::default() });
        let record = LoggedDecision::of_entry("weir_explicit", &entry).unwrap().record;
        assert_eq!((record.effect.as_str(), record.reason.as_str()), ("deny", reason), "{details}");
        assert_eq!(record.path.len(), LONGEST_TEXT);
    }
}

#[test]
fn the_server_name_is_the_filters_or_the_canonical_host() {
    let with = |from: &str, to: &str| ALLOWED.replace(from, to);
    let own = |sni: &str| with("}", &format!(",\"upstream\":\"10.0.0.1:8443\"{sni}}}"));
    for (record, expected) in [
        (ALLOWED.to_owned(), Some("a.example")),
        (with("443", "8443"), Some("a.example")),
        (with("https", "http"), None),
        (with("a.example", "192.0.2.1"), None),
        (with("a.example", "[2001:db8::1]"), None),
        (with("allow\"", "deny\""), None),
        (own(",\"sni\":\"b.example\""), Some("b.example")),
        (own(""), None),
    ] {
        let decision = LoggedDecision::of_entry("weir_intercept", &entry(&record, "via_upstream", 200));
        assert_eq!(decision.unwrap().record.sni.as_deref(), expected, "{record}");
    }
}

#[test]
fn a_record_of_a_newer_filter_is_a_decision() {
    let newer = ALLOWED.replace("allow\"", "defer\"").replace('}', ",\"tenant\":\"t\"}");
    let decision = LoggedDecision::of_entry("weir_intercept", &entry(&newer, "via_upstream", 200)).unwrap();
    let line = serde_json::to_value(decision).unwrap();
    assert_eq!((&line["effect"], &line["host"]), (&"defer".into(), &"a.example".into()));
}

#[test]
fn a_denial_without_a_policy_is_a_decision_with_its_reason() {
    let record = ALLOWED
        .replace("\"2\"", "null")
        .replace("allow\"", "deny\"")
        .replace("\"allowed\"", "\"policy_missing\"");
    let decision = LoggedDecision::of_entry("weir_intercept", &entry(&record, "", 403)).unwrap();
    assert_eq!(decision.record.reason, Reason::PolicyMissing);
}

#[test]
fn bytes_that_never_became_a_request_are_no_decision() {
    let mut entry = entry("", "downstream_remote_disconnect", 0);
    entry.common_properties.as_mut().unwrap().filter_state_objects.clear();
    entry.request = Some(HttpRequestProperties::default());
    assert_eq!(LoggedDecision::of_entry("weir_explicit", &entry), None);
}

#[test]
fn the_end_of_an_upgraded_or_unopened_connection_is_no_failure() {
    let unopened = ALLOWED.replace("GET", "CONNECT");
    for (listener, record, status, reason) in [
        ("weir_intercept", ALLOWED, 101, "allowed"),
        ("weir_passthrough", &unopened, 200, "allowed"),
        ("weir_intercept", ALLOWED, 200, "upstream_unreachable"),
        ("weir_passthrough", &unopened, 503, "upstream_unreachable"),
    ] {
        let mut entry =
            entry(record, "upstream_reset_after_response_started{connection_termination}", status);
        let flags = &mut entry.common_properties.as_mut().unwrap().response_flags;
        flags.as_mut().unwrap().upstream_connection_termination = true;
        let decision = LoggedDecision::of_entry(listener, &entry).unwrap();
        assert_eq!(decision.record.reason.as_str(), reason, "{listener} {status}");
        assert_eq!(decision.cause.is_some(), reason != "allowed");
    }
}

#[test]
fn a_tunnel_that_was_let_in_is_no_decision() {
    let tunnel = ALLOWED.replace("GET", "CONNECT");
    assert_eq!(LoggedDecision::of_entry("weir_intercept", &entry(&tunnel, "via_upstream", 200)), None);
}

#[test]
fn the_line_has_the_records_keys_at_its_top() {
    let decision = LoggedDecision::of_entry("weir_intercept", &entry(ALLOWED, "via_upstream", 200)).unwrap();
    let line = serde_json::to_value(decision).unwrap();
    assert_eq!(line["host"], "a.example");
    assert_eq!(line["status"], 200);
}
