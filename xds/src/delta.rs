//! Incremental xDS over one stream, as plain state: requests and changes in, responses out.
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
mod tests;
