//! Incremental xDS, request by request.

use envoy_types::pb::google::rpc::Status;

use super::*;
use crate::source::tests::{cluster, source, source_renewing};

fn request(kind: ResourceType, subscribe: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.url().to_owned(),
        resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| resource.name.as_str()).collect()
}

#[test]
fn the_first_request_without_names_asks_for_everything() {
    let mut stream = DeltaStream::default();
    let outcome = stream.on_request(request(ResourceType::Cluster, &[]), &source(&["a", "b"]));
    assert_eq!(names(&outcome.response.unwrap()), ["a", "b"]);
}

#[test]
fn an_ack_is_not_a_question() {
    let mut stream = DeltaStream::default();
    let source = source(&["a"]);
    let sent = stream.on_request(request(ResourceType::Cluster, &[]), &source).response.unwrap();
    let ack =
        DeltaDiscoveryRequest { response_nonce: sent.nonce.clone(), ..request(ResourceType::Cluster, &[]) };
    let outcome = stream.on_request(ack, &source);
    assert!(outcome.response.is_none());
    let acknowledgement = outcome.acknowledgement.unwrap();
    assert_eq!(acknowledgement.nonce, sent.nonce);
    assert_eq!(acknowledgement.rejection, None);
}

#[test]
fn a_rejected_version_is_reported_and_not_sent_again() {
    let mut stream = DeltaStream::default();
    let source = source(&["a"]);
    let sent = stream.on_request(request(ResourceType::Cluster, &[]), &source).response.unwrap();
    let nack = DeltaDiscoveryRequest {
        response_nonce: sent.nonce,
        error_detail: Some(Status { message: "no such filter".to_owned(), ..Status::default() }),
        ..request(ResourceType::Cluster, &[])
    };
    let outcome = stream.on_request(nack, &source);
    assert!(outcome.response.is_none());
    assert_eq!(outcome.acknowledgement.unwrap().rejection.as_deref(), Some("no such filter"));
    assert!(stream.changes(ResourceType::Cluster, &source).is_none());
}

#[test]
fn only_what_changed_is_sent_and_what_is_gone_is_removed() {
    let mut stream = DeltaStream::default();
    stream.on_request(request(ResourceType::Cluster, &[]), &source(&["a", "b"]));
    let response = stream.changes(ResourceType::Cluster, &source(&["b", "c"])).unwrap();
    assert_eq!(names(&response), ["c"]);
    assert_eq!(response.removed_resources, ["a"]);
    let held = stream.subscriptions[&ResourceType::Cluster].held.keys();
    assert_eq!(held.collect::<Vec<_>>(), ["b", "c"], "what is gone is forgotten");
    assert!(stream.changes(ResourceType::Cluster, &source(&["b", "c"])).is_none());
}

#[test]
fn a_secret_is_refused_by_removing_it_once() {
    let mut stream = DeltaStream::default();
    let source = source(&[]);
    let outcome = stream.on_request(request(ResourceType::Secret, &["refused.example"]), &source);
    assert_eq!(outcome.response.unwrap().removed_resources, ["refused.example"]);
    assert!(stream.changes(ResourceType::Secret, &source).is_none());
    let again = stream.on_request(request(ResourceType::Secret, &["refused.example"]), &source);
    assert!(again.response.is_some(), "a name subscribed again is answered again");
}

#[test]
fn secrets_are_served_by_name_and_forgotten_when_unsubscribed() {
    let mut stream = DeltaStream::default();
    let source = source(&[]);
    let outcome = stream.on_request(request(ResourceType::Secret, &["a.example"]), &source);
    assert_eq!(names(&outcome.response.unwrap()), ["a.example"]);
    let unsubscribe = DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec!["a.example".to_owned()],
        ..request(ResourceType::Secret, &[])
    };
    assert!(stream.on_request(unsubscribe, &source).response.is_none());
    let again = stream.on_request(request(ResourceType::Secret, &["a.example"]), &source);
    assert_eq!(names(&again.response.unwrap()), ["a.example"]);
}

#[test]
fn a_reconnected_node_is_not_sent_what_it_still_holds() {
    let source = source(&["a", "b"]);
    let version = cluster("a").version;
    let mut stream = DeltaStream::default();
    let reconnect = DeltaDiscoveryRequest {
        initial_resource_versions: [("a".to_owned(), version), ("gone".to_owned(), "1".to_owned())].into(),
        ..request(ResourceType::Cluster, &[])
    };
    let response = stream.on_request(reconnect, &source).response.unwrap();
    assert_eq!(names(&response), ["b"]);
    assert_eq!(response.removed_resources, ["gone"]);
}

#[test]
fn a_withdrawn_secret_is_removed_once_and_not_renewed() {
    let mut stream = DeltaStream::default();
    let source = source(&[]);
    stream.on_request(request(ResourceType::Secret, &["a.example"]), &source);
    assert_eq!(stream.withdraw("a.example").unwrap().removed_resources, ["a.example"]);
    assert!(stream.withdraw("a.example").is_none());
    assert!(stream.withdraw("never.asked.example").is_none());
    stream.begin_renewals();
    assert!(!stream.is_renewing());
}

#[test]
fn a_withdrawal_that_was_missed_is_made_up_for() {
    let mut stream = DeltaStream::default();
    let source = source(&[]);
    stream.on_request(request(ResourceType::Secret, &["a.example", "withdrawn.example"]), &source);
    stream.begin_renewals();
    let response = stream.renewals(&source).unwrap();
    assert_eq!(response.removed_resources, ["withdrawn.example"]);
    assert!(response.resources.is_empty());
    stream.begin_renewals();
    assert!(stream.renewals(&source).is_none());
}

#[test]
fn names_that_are_refused_or_withdrawn_leave_nothing_behind() {
    let mut stream = DeltaStream::default();
    let source = source(&[]);
    for number in 0..1_000 {
        let (refused, served) = (format!("refused{number}"), format!("served{number}"));
        stream.on_request(request(ResourceType::Secret, &[&refused, &served]), &source);
        stream.withdraw(&served).unwrap();
    }
    let subscription = &stream.subscriptions[&ResourceType::Secret];
    assert!(subscription.names.is_empty() && subscription.held.is_empty());
}

#[test]
fn a_reconnected_node_gets_what_waits_at_once_and_the_rest_at_the_rate_of_renewals_names_in_use_first() {
    let held: Vec<String> = ('a'..='z').map(|letter| format!("{letter}.example")).collect();
    let subscribed: Vec<&str> = held.iter().map(String::as_str).chain(["new.example"]).collect();
    let reconnect = DeltaDiscoveryRequest {
        initial_resource_versions: held.iter().map(|name| (name.clone(), "old".to_owned())).collect(),
        ..request(ResourceType::Secret, &subscribed)
    };
    let mut stream = DeltaStream::default();
    let response = stream.on_request(reconnect, &source(&[])).response.unwrap();
    assert_eq!(names(&response), ["new.example"]);
    assert_eq!(names(&stream.renewals(&source_renewing(&[], 2)).unwrap()), ["z.example", "y.example"]);
    assert!(stream.renewals(&source_renewing(&[], 0)).is_none());
    assert!(stream.is_renewing());
    assert_eq!(stream.renewals(&source(&[])).unwrap().resources.len(), 24);
    assert!(!stream.is_renewing());
}

#[test]
fn one_step_renews_a_bounded_number_of_secrets() {
    let held: Vec<String> = (0..250).map(|number| format!("{number}.example")).collect();
    let subscribed: Vec<&str> = held.iter().map(String::as_str).collect();
    let reconnect = DeltaDiscoveryRequest {
        initial_resource_versions: held.iter().map(|name| (name.clone(), "old".to_owned())).collect(),
        ..request(ResourceType::Secret, &subscribed)
    };
    let mut stream = DeltaStream::default();
    stream.on_request(reconnect, &source(&[]));
    let steps = std::iter::from_fn(|| stream.renewals(&source(&[])));
    assert_eq!(steps.map(|step| step.resources.len()).collect::<Vec<_>>(), [100, 100, 50]);
    assert!(!stream.is_renewing());
}

#[test]
fn an_unknown_type_leads_to_nothing() {
    let mut stream = DeltaStream::default();
    let unknown = DeltaDiscoveryRequest { type_url: "type.googleapis.com/x".into(), ..Default::default() };
    let outcome = stream.on_request(unknown, &source(&["a"]));
    assert!(outcome.response.is_none() && outcome.acknowledgement.is_none());
}
