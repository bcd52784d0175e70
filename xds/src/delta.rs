//! Incremental xDS over one stream, as plain state: a request or a change comes in, responses go out.
//!
//! The node is never sent a resource that it already holds. So an ACK gets no response, and an idle Envoy exchanges
//! no messages.
//!
//! A NACK rejects a whole response, and its message may name one resource of many. [`StreamState::resend`] sends each
//! of them once more in a response of its own, so the node takes all but the faulty ones.
//!
//! Secrets differ from other types. Clients choose their names by connecting, so the stream forgets a name that was
//! refused or withdrawn. A secret is signed when the node requests it. A reconnecting node that holds many secrets
//! does not need new ones at once, so they are renewed little by little.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as WireResource,
};

use crate::{Acknowledgement, RenewedSecret, RequestOutcome, Resource, ResourceType, Source, StreamState};

/// The name that subscribes to everything of a type.
const WILDCARD: &str = "*";
/// The most secrets that one response renews or removes. A certificate takes about 1.5 kB, so the response stays below
/// 200 kB, however slowly the secrets are made.
const MOST_RENEWALS: usize = 100;

/// One stream's subscriptions.
#[derive(Debug, Default)]
pub struct DeltaStream {
    subscriptions: BTreeMap<ResourceType, Subscription>,
    /// Secrets that the node holds and whose renewal has not been checked yet.
    renewing: BTreeSet<String>,
    sent: u64,
}

#[derive(Debug, Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    /// The last state of each resource that the node was sent: a version, or its absence. A version that the node rejected
    /// counts as sent, because the node would only reject it again.
    held: BTreeMap<String, Held>,
}

#[derive(Debug, PartialEq, Eq)]
enum Held {
    Version(String),
    Absent,
}

impl StreamState for DeltaStream {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn node(request: &DeltaDiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn kind(request: &DeltaDiscoveryRequest) -> Option<ResourceType> {
        ResourceType::of_url(&request.type_url)
    }

    fn header(response: &DeltaDiscoveryResponse) -> (Option<ResourceType>, &str) {
        (ResourceType::of_url(&response.type_url), &response.nonce)
    }

    fn resources(response: &DeltaDiscoveryResponse) -> Vec<String> {
        let updated = response.resources.iter().map(|resource| &resource.name);
        updated.chain(&response.removed_resources).cloned().collect()
    }

    fn clusters_held(request: &DeltaDiscoveryRequest) -> Vec<&str> {
        let clusters = Self::kind(request) == Some(ResourceType::Cluster);
        let held = request.initial_resource_versions.keys().filter(|_| clusters);
        held.map(String::as_str).collect()
    }

    fn on_request(
        &mut self,
        request: DeltaDiscoveryRequest,
        source: &Source,
    ) -> RequestOutcome<DeltaDiscoveryResponse> {
        let Some(kind) = Self::kind(&request) else { return RequestOutcome::nothing() };
        let first = !self.subscriptions.contains_key(&kind);
        let subscription = self.subscriptions.entry(kind).or_default();
        if first {
            let versions = request.initial_resource_versions.iter();
            subscription.held =
                versions.map(|(name, version)| (name.clone(), Held::Version(version.clone()))).collect();
        }
        let names = request.resource_names_subscribe;
        let becomes_wildcard =
            (first && kind.has_wildcard() && names.is_empty()) || names.iter().any(|name| name == WILDCARD);
        subscription.wildcard |= becomes_wildcard;
        for name in &request.resource_names_unsubscribe {
            if name == WILDCARD {
                subscription.wildcard = false;
            }
            subscription.names.remove(name);
            subscription.held.remove(name);
        }
        let mut asked = BTreeSet::new();
        for name in names.into_iter().filter(|name| name != WILDCARD) {
            subscription.names.insert(name.clone());
            if first && kind == ResourceType::Secret && subscription.held.contains_key(&name) {
                source.secrets().readmit(&name);
                self.renewing.insert(name);
                continue;
            }
            // A name subscribed again must be answered again (xDS protocol, "Subscribing to resources").
            if !first {
                subscription.held.remove(&name);
            }
            asked.insert(name);
        }
        let response = if becomes_wildcard {
            self.changes(kind, source)
        } else {
            let named = asked.iter().map(|name| (name.as_str(), source.get(kind, name)));
            let changes = Changes::between(&mut subscription.held, named);
            self.response(kind, changes)
        };
        let acknowledgement = (!request.response_nonce.is_empty()).then(|| Acknowledgement {
            kind,
            nonce: request.response_nonce,
            rejection: request.error_detail.map(|status| status.message),
        });
        RequestOutcome { response, acknowledgement }
    }

    fn changes(&mut self, kind: ResourceType, source: &Source) -> Option<DeltaDiscoveryResponse> {
        let subscription = self.subscriptions.get_mut(&kind)?;
        let all: BTreeMap<_, _> = if subscription.wildcard {
            source.all(kind).map(|resource| (resource.name.clone(), Arc::clone(resource))).collect()
        } else {
            BTreeMap::new()
        };
        let gone: Vec<String> = if subscription.wildcard {
            subscription.held.keys().filter(|name| !all.contains_key(*name)).cloned().collect()
        } else {
            Vec::new()
        };
        let named: Vec<_> = subscription
            .names
            .iter()
            .map(|name| (name.clone(), source.get(kind, name)))
            .chain(gone.into_iter().map(|name| (name, None)))
            .chain(all.into_iter().map(|(name, resource)| (name, Some(resource))))
            .collect();
        let named = named.iter().map(|(name, resource)| (name.as_str(), resource.clone()));
        let changes = Changes::between(&mut subscription.held, named);
        self.response(kind, changes)
    }

    fn resend(&mut self, kind: ResourceType, name: &str, source: &Source) -> Option<DeltaDiscoveryResponse> {
        let subscription = self.subscriptions.get_mut(&kind)?;
        if !subscription.wildcard && !subscription.names.contains(name) {
            return None;
        }
        subscription.held.remove(name);
        let current = std::iter::once((name, source.get(kind, name)));
        let changes = Changes::between(&mut subscription.held, current);
        self.response(kind, changes)
    }

    fn begin_renewals(&mut self) {
        let held = self.subscriptions.get(&ResourceType::Secret).into_iter();
        self.renewing = held.flat_map(|subscription| subscription.held.keys().cloned()).collect();
    }

    fn renewals(&mut self, source: &Source) -> Option<DeltaDiscoveryResponse> {
        let subscription = self.subscriptions.get_mut(&ResourceType::Secret)?;
        let mut names: Vec<String> = std::mem::take(&mut self.renewing).into_iter().collect();
        names.retain(|name| subscription.held.contains_key(name));
        names.sort_by_cached_key(|name| Reverse(source.secrets().last_use(name)));
        let mut names = names.into_iter();
        let mut changes = Changes::default();
        while changes.len() < MOST_RENEWALS
            && let Some(name) = names.next()
        {
            let secret = match source.renewed(&name) {
                RenewedSecret::Current(secret) => Some(secret),
                RenewedSecret::Gone => None,
                RenewedSecret::Later => {
                    self.renewing.insert(name);
                    break;
                }
            };
            changes.add(&mut subscription.held, &name, secret);
        }
        self.renewing.extend(names);
        self.response(ResourceType::Secret, changes)
    }

    fn is_renewing(&self) -> bool {
        !self.renewing.is_empty()
    }

    /// Withdraws a secret. Envoy requests it again when a client connects with the name again.
    fn withdraw(&mut self, name: &str) -> Option<DeltaDiscoveryResponse> {
        self.subscriptions.get(&ResourceType::Secret)?.held.get(name)?;
        let removed = vec![name.to_owned()];
        self.response(ResourceType::Secret, Changes { resources: Vec::new(), removed })
    }
}

impl DeltaStream {
    fn response(&mut self, kind: ResourceType, changes: Changes) -> Option<DeltaDiscoveryResponse> {
        if changes.len() == 0 {
            return None;
        }
        if let Some(subscription) = self.subscriptions.get_mut(&kind) {
            for name in &changes.removed {
                if kind == ResourceType::Secret {
                    subscription.names.remove(name);
                }
                // A name without a subscription of its own need not be remembered after its resource is gone.
                if !subscription.names.contains(name) {
                    subscription.held.remove(name);
                }
            }
        }
        self.sent += 1;
        Some(DeltaDiscoveryResponse {
            type_url: kind.url().to_owned(),
            nonce: self.sent.to_string(),
            resources: changes.resources.iter().map(|resource| wire(resource)).collect(),
            removed_resources: changes.removed,
            ..DeltaDiscoveryResponse::default()
        })
    }
}

#[derive(Default)]
struct Changes {
    resources: Vec<Arc<Resource>>,
    removed: Vec<String>,
}

impl Changes {
    /// Compares the available resources with those that the node holds, and records the available ones as held.
    fn between<'a>(
        held: &mut BTreeMap<String, Held>,
        current: impl Iterator<Item = (&'a str, Option<Arc<Resource>>)>,
    ) -> Self {
        let mut changes = Self::default();
        for (name, resource) in current {
            changes.add(held, name, resource);
        }
        changes
    }

    /// Adds the current state of a name, unless the node holds it, and records it as held.
    fn add(&mut self, held: &mut BTreeMap<String, Held>, name: &str, current: Option<Arc<Resource>>) {
        let now = match &current {
            Some(resource) => Held::Version(resource.version.clone()),
            None => Held::Absent,
        };
        if held.get(name) == Some(&now) {
            return;
        }
        held.insert(name.to_owned(), now);
        match current {
            Some(resource) => self.resources.push(resource),
            None => self.removed.push(name.to_owned()),
        }
    }

    fn len(&self) -> usize {
        self.resources.len() + self.removed.len()
    }
}

fn wire(resource: &Resource) -> WireResource {
    WireResource {
        name: resource.name.clone(),
        version: resource.version.clone(),
        resource: Some(resource.body.clone()),
        ..WireResource::default()
    }
}

#[cfg(test)]
mod tests {
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
        let ack = DeltaDiscoveryRequest {
            response_nonce: sent.nonce.clone(),
            ..request(ResourceType::Cluster, &[])
        };
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
            initial_resource_versions: [("a".to_owned(), version), ("gone".to_owned(), "1".to_owned())]
                .into(),
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
        let unknown =
            DeltaDiscoveryRequest { type_url: "type.googleapis.com/x".into(), ..Default::default() };
        let outcome = stream.on_request(unknown, &source(&["a"]));
        assert!(outcome.response.is_none() && outcome.acknowledgement.is_none());
    }
}
