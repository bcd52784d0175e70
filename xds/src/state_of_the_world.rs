//! State-of-the-world xDS over one stream, as plain state. Every response of a type carries all subscribed resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use xxhash_rust::xxh3::Xxh3;

use crate::{Acknowledgement, RequestOutcome, Resource, ResourceType, Source, StreamState};

/// One stream's subscriptions.
#[derive(Debug, Default)]
pub struct StateOfTheWorldStream {
    subscriptions: BTreeMap<ResourceType, Subscription>,
    sent: u64,
}

#[derive(Debug, Default)]
struct Subscription {
    names: BTreeSet<String>,
    /// Version and nonce of the last response.
    last: Option<(String, String)>,
}

impl StreamState for StateOfTheWorldStream {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn node(request: &DiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn kind(request: &DiscoveryRequest) -> Option<ResourceType> {
        ResourceType::of_url(&request.type_url)
    }

    fn header(response: &DiscoveryResponse) -> (Option<ResourceType>, &str) {
        (ResourceType::of_url(&response.type_url), &response.nonce)
    }

    /// Returns the type URL alone, because the node accepts or rejects all resources of a type together.
    fn resources(response: &DiscoveryResponse) -> Vec<String> {
        vec![response.type_url.clone()]
    }

    /// Returns nothing: a state-of-the-world request does not list held clusters.
    fn clusters_held(_request: &DiscoveryRequest) -> Vec<&str> {
        Vec::new()
    }

    /// Handles a request. A request that answers an older response than the last one is stale and gets no response.
    fn on_request(
        &mut self,
        request: DiscoveryRequest,
        source: &Source,
    ) -> RequestOutcome<DiscoveryResponse> {
        let Some(kind) = Self::kind(&request) else { return RequestOutcome::nothing() };
        let first = !self.subscriptions.contains_key(&kind);
        let subscription = self.subscriptions.entry(kind).or_default();
        let last_nonce = subscription.last.as_ref().map(|(_, nonce)| nonce.as_str());
        if !request.response_nonce.is_empty() && !first && last_nonce != Some(request.response_nonce.as_str())
        {
            return RequestOutcome::nothing();
        }
        let acknowledgement = (!request.response_nonce.is_empty() && !first).then(|| Acknowledgement {
            kind,
            nonce: request.response_nonce,
            rejection: request.error_detail.map(|status| status.message),
        });
        let names: BTreeSet<String> = request.resource_names.into_iter().collect();
        let response = if first || names != subscription.names {
            subscription.names = names;
            subscription.last = None;
            self.changes(kind, source)
        } else {
            None
        };
        RequestOutcome { response, acknowledgement }
    }

    /// Returns all subscribed resources of a type, if any has changed since the last response.
    fn changes(&mut self, kind: ResourceType, source: &Source) -> Option<DiscoveryResponse> {
        let subscription = self.subscriptions.get_mut(&kind)?;
        let resources: Vec<Arc<Resource>> = if subscription.names.is_empty() && kind.has_wildcard() {
            source.all(kind).cloned().collect()
        } else {
            subscription.names.iter().filter_map(|name| source.get(kind, name)).collect()
        };
        let version = version(&resources);
        if subscription.last.as_ref().is_some_and(|(last, _)| *last == version) {
            return None;
        }
        self.sent += 1;
        let nonce = self.sent.to_string();
        subscription.last = Some((version.clone(), nonce.clone()));
        Some(DiscoveryResponse {
            version_info: version,
            resources: resources.iter().map(|resource| resource.body.clone()).collect(),
            type_url: kind.url().to_owned(),
            nonce,
            ..DiscoveryResponse::default()
        })
    }

    /// Returns `None`: each response has all resources of its type.
    fn resend(&mut self, _kind: ResourceType, _name: &str, _source: &Source) -> Option<DiscoveryResponse> {
        None
    }

    /// Does nothing: secrets are configured in advance here, and their renewal sends all of them.
    fn begin_renewals(&mut self) {}

    fn renewals(&mut self, _source: &Source) -> Option<DiscoveryResponse> {
        None
    }

    fn is_renewing(&self) -> bool {
        false
    }

    /// Does nothing: a listener configures these secrets, and they remain while it does.
    fn withdraw(&mut self, _name: &str) -> Option<DiscoveryResponse> {
        None
    }
}

/// A hash of the names and versions of the resources.
fn version(resources: &[Arc<Resource>]) -> String {
    let mut hash = Xxh3::new();
    for resource in resources {
        for part in [&resource.name, &resource.version] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
    }
    format!("{:016x}", hash.digest())
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::rpc::Status;

    use super::*;
    use crate::source::tests::source;

    fn request(kind: ResourceType, names: &[&str], nonce: &str) -> DiscoveryRequest {
        DiscoveryRequest {
            type_url: kind.url().to_owned(),
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            response_nonce: nonce.to_owned(),
            ..DiscoveryRequest::default()
        }
    }

    #[test]
    fn an_ack_is_not_a_question() {
        let mut stream = StateOfTheWorldStream::default();
        let source = source(&["a", "b"]);
        let sent = stream.on_request(request(ResourceType::Cluster, &[], ""), &source).response.unwrap();
        assert_eq!(sent.resources.len(), 2);
        let ack = stream.on_request(request(ResourceType::Cluster, &[], &sent.nonce), &source);
        assert!(ack.response.is_none());
        assert_eq!(ack.acknowledgement.unwrap().rejection, None);
    }

    #[test]
    fn a_rejection_is_reported_and_not_answered() {
        let mut stream = StateOfTheWorldStream::default();
        let source = source(&["a"]);
        let sent = stream.on_request(request(ResourceType::Cluster, &[], ""), &source).response.unwrap();
        let nack = DiscoveryRequest {
            error_detail: Some(Status { message: "bad".to_owned(), ..Status::default() }),
            ..request(ResourceType::Cluster, &[], &sent.nonce)
        };
        let outcome = stream.on_request(nack, &source);
        assert!(outcome.response.is_none());
        assert_eq!(outcome.acknowledgement.unwrap().rejection.as_deref(), Some("bad"));
    }

    #[test]
    fn a_stale_nonce_leads_to_nothing() {
        let mut stream = StateOfTheWorldStream::default();
        let old =
            stream.on_request(request(ResourceType::Cluster, &[], ""), &source(&["a"])).response.unwrap();
        let new = stream.changes(ResourceType::Cluster, &source(&["a", "b"])).unwrap();
        assert_ne!(old.nonce, new.nonce);
        let stale = stream.on_request(request(ResourceType::Cluster, &[], &old.nonce), &source(&["a", "b"]));
        assert!(stale.response.is_none() && stale.acknowledgement.is_none());
    }

    #[test]
    fn another_set_of_names_is_answered_in_full() {
        let mut stream = StateOfTheWorldStream::default();
        let source = source(&[]);
        let one = stream.on_request(request(ResourceType::Secret, &["a"], ""), &source).response.unwrap();
        let two = stream.on_request(request(ResourceType::Secret, &["a", "b"], &one.nonce), &source);
        assert_eq!(two.response.unwrap().resources.len(), 2);
    }

    #[test]
    fn nothing_is_pushed_when_nothing_changed() {
        let mut stream = StateOfTheWorldStream::default();
        let source = source(&["a"]);
        stream.on_request(request(ResourceType::Cluster, &[], ""), &source);
        assert!(stream.changes(ResourceType::Cluster, &source).is_none());
    }

    #[test]
    fn a_reconnected_node_with_an_old_nonce_is_answered() {
        let mut stream = StateOfTheWorldStream::default();
        let outcome = stream.on_request(request(ResourceType::Cluster, &[], "17"), &source(&["a"]));
        assert!(outcome.response.is_some());
    }
}
