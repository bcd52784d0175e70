use proptest::prelude::*;
use weir_policy::{Effect, Reason, Scheme};

use super::*;

const FIELDS: RecordFields<'static> = RecordFields {
    effect: Effect::Allow,
    reason: Reason::Allowed,
    rule: Some("r"),
    decision_id: "1-2",
    policy_version: Some("3"),
    host: b"a.example",
    port: Some(443),
    scheme: Scheme::Https,
    method: b"GET",
    path: b"/p",
    upstream: None,
    sni: None,
    rego_reason: None,
    would_deny: false,
};

/// The record of [`FIELDS`] as the first release of the record wrote it.
const FIRST: &str = r#"{"effect":"allow","reason":"allowed","rule":"r","decision_id":"1-2","policy_version":"3","host":"a.example","port":443,"scheme":"https","method":"GET","path":"/p"}"#;

fn decode(text: &str) -> DecisionRecord {
    DecisionRecord::decode(text.as_bytes()).unwrap()
}

/// The text that a reader gets of bytes that were cut at a limit.
fn shown(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]).into_owned()
}

#[test]
fn the_keys_and_their_order_are_those_of_the_first_release() {
    assert_eq!(String::from_utf8(FIELDS.encode()).unwrap(), FIRST);
}

#[test]
fn a_record_without_new_keys_is_read() {
    let read = decode(FIRST);
    assert_eq!((read.effect.known(), read.reason.known()), (Some(Effect::Allow), Some(Reason::Allowed)));
    assert_eq!((read.rule.as_deref(), read.port, read.sni), (Some("r"), Some(443), None));
}

#[test]
fn keys_of_a_newer_release_are_ignored() {
    let newer = FIRST.replacen('{', r#"{"tenant":{"name":["a"]},"bytes":1,"#, 1);
    assert_eq!(decode(&newer), decode(FIRST));
}

#[test]
fn words_of_a_newer_release_are_kept() {
    let newer = FIRST.replace("\"allow\"", "\"defer\"").replace("\"allowed\"", "\"quota_exceeded\"");
    let read = decode(&newer);
    assert_eq!((read.effect.as_str(), read.reason.as_str()), ("defer", "quota_exceeded"));
    assert_eq!((read.effect.known(), read.reason.known()), (None, None));
    let shown = serde_json::to_value(&read).unwrap();
    assert_eq!((&shown["effect"], &shown["reason"]), (&"defer".into(), &"quota_exceeded".into()));
    let long = decode(&FIRST.replace("\"allowed\"", &format!("\"{}\"", "x".repeat(1000))));
    assert_eq!(long.reason.as_str().len(), 64);
}

#[test]
fn a_value_of_another_type_loses_itself_and_not_the_decision() {
    let odd = r#"{"effect":"deny","reason":7,"rule":["r"],"policy_version":null,"host":"a.example","port":70000,"would_deny":"yes"}"#;
    let expected = DecisionRecord {
        effect: Effect::Deny.into(),
        host: "a.example".to_owned(),
        ..DecisionRecord::default()
    };
    assert_eq!(decode(odd), expected);
}

#[test]
fn bytes_that_are_no_object_are_no_record() {
    for text in ["", "null", "7", "\"allow\"", r#"["allow","allowed"]"#, "{", "{}x"] {
        assert!(DecisionRecord::decode(text.as_bytes()).is_err(), "{text}");
    }
}

prop_compose! {
    fn texts()(
        bytes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 4),
        words in prop::collection::vec(".{0,40}", 5),
    ) -> (Vec<Vec<u8>>, Vec<String>) {
        (bytes, words)
    }
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(
        (bytes, words) in texts(),
        reason in prop::sample::select(Reason::ALL.as_slice()),
        (port, upstream_port, with) in any::<(Option<u16>, u16, [bool; 6])>(),
    ) {
        let word = |index: usize| with[index].then_some(words[index].as_str());
        let fields = RecordFields {
            effect: if with[5] { Effect::Allow } else { Effect::Deny },
            reason,
            rule: word(0),
            decision_id: &words[4],
            policy_version: word(1),
            host: &bytes[0],
            port,
            scheme: if with[4] { Scheme::Http } else { Scheme::Https },
            method: &bytes[1],
            path: &bytes[2],
            upstream: word(2).map(|host| UpstreamAddress { host, port: upstream_port }),
            sni: word(3),
            rego_reason: with[4].then_some(bytes[3].as_slice()),
            would_deny: with[5],
        };
        let encoded = fields.encode();
        prop_assert!(encoded.is_ascii());
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let expected = DecisionRecord {
            effect: fields.effect.into(),
            reason: reason.into(),
            rule: owned(fields.rule),
            decision_id: words[4].clone(),
            policy_version: owned(fields.policy_version).unwrap_or_default(),
            host: shown(&bytes[0], HOST_LIMIT),
            port,
            scheme: fields.scheme.as_str().to_owned(),
            method: shown(&bytes[1], METHOD_LIMIT),
            path: shown(&bytes[2], PATH_LIMIT),
            upstream: fields.upstream.map(|to| format!("{}:{}", to.host, to.port)),
            sni: owned(fields.sni),
            rego_reason: fields.rego_reason.map(|reason| shown(reason, PATH_LIMIT)),
            would_deny: with[5],
        };
        prop_assert_eq!(&DecisionRecord::decode(&encoded).unwrap(), &expected);
        // The decision log prints the record that was read, and a reader of the log reads an equal one.
        prop_assert_eq!(DecisionRecord::decode(&serde_json::to_vec(&expected).unwrap()).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = DecisionRecord::decode(&bytes);
    }
}
