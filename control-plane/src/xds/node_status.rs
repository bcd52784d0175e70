//! How far each connected node is: what it was sent, what it accepted, what it rejected and why.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::ResourceType;
use crate::capabilities::{Capabilities, Protocol};
use crate::envoy_version::EnvoyVersion;

/// What a request said about an earlier response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The type that was sent.
    pub kind: ResourceType,
    /// The nonce of the response.
    pub nonce: String,
    /// Why the node rejected it; `None` for an ACK.
    pub rejection: Option<String>,
}

/// One stream of one node.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// `node.id`
    pub node: String,
    /// The release of Envoy, if it can be known.
    pub version: Option<EnvoyVersion>,
    /// The protocol of the stream.
    pub protocol: Protocol,
    /// What it is served.
    pub capabilities: Capabilities,
    types: BTreeMap<ResourceType, TypeStatus>,
}

#[derive(Debug, Clone, Default)]
struct TypeStatus {
    sent: Option<String>,
    acknowledged: Option<String>,
    rejection: Option<String>,
}

impl NodeStatus {
    /// A node that has just connected.
    pub fn new(
        node: String,
        version: Option<EnvoyVersion>,
        protocol: Protocol,
        capabilities: Capabilities,
    ) -> Self {
        Self { node, version, protocol, capabilities, types: BTreeMap::new() }
    }

    /// A response went out.
    pub fn sent(&mut self, kind: ResourceType, nonce: &str) {
        self.types.entry(kind).or_default().sent = Some(nonce.to_owned());
    }

    /// A response was accepted or rejected.
    pub fn acknowledged(&mut self, acknowledgement: Acknowledgement) {
        let status = self.types.entry(acknowledgement.kind).or_default();
        status.acknowledged = Some(acknowledgement.nonce);
        status.rejection = acknowledgement.rejection;
    }

    /// Clusters, listeners and filters have been sent, and the newest of everything sent was accepted.
    pub fn is_ready(&self) -> bool {
        let needed = [ResourceType::Cluster, ResourceType::Listener, ResourceType::ExtensionConfig];
        needed.iter().all(|kind| self.types.contains_key(kind))
            && self.types.values().all(|status| {
                status.sent.is_some() && status.sent == status.acknowledged && status.rejection.is_none()
            })
    }

    /// What the node rejects at the moment, with its own words.
    pub fn rejections(&self) -> impl Iterator<Item = (ResourceType, &str)> {
        self.types.iter().filter_map(|(kind, status)| Some((*kind, status.rejection.as_deref()?)))
    }
}

/// The connected nodes, by stream.
pub type Nodes = BTreeMap<u64, NodeStatus>;

/// A place to publish [`Nodes`] and to wait for them.
#[derive(Debug, Clone)]
pub struct NodeRegistry {
    nodes: watch::Sender<Nodes>,
}

impl Default for NodeRegistry {
    fn default() -> Self {
        Self { nodes: watch::Sender::new(Nodes::new()) }
    }
}

impl NodeRegistry {
    /// Follows every change.
    pub fn subscribe(&self) -> watch::Receiver<Nodes> {
        self.nodes.subscribe()
    }

    pub(super) fn connect(&self, status: NodeStatus) -> ConnectedNode {
        let mut stream = 0;
        self.nodes.send_modify(|nodes| {
            stream = nodes.last_key_value().map_or(0, |(last, _)| last + 1);
            nodes.insert(stream, status);
        });
        ConnectedNode { registry: self.clone(), stream }
    }
}

/// A node's entry, taken out when the stream ends.
#[derive(Debug)]
pub(super) struct ConnectedNode {
    registry: NodeRegistry,
    stream: u64,
}

impl ConnectedNode {
    pub(super) fn update(&self, change: impl FnOnce(&mut NodeStatus)) {
        self.registry.nodes.send_modify(|nodes| {
            if let Some(status) = nodes.get_mut(&self.stream) {
                change(status);
            }
        });
    }
}

impl Drop for ConnectedNode {
    fn drop(&mut self) {
        self.registry.nodes.send_modify(|nodes| {
            nodes.remove(&self.stream);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledge(kind: ResourceType, nonce: &str, rejection: Option<&str>) -> Acknowledgement {
        Acknowledgement { kind, nonce: nonce.to_owned(), rejection: rejection.map(str::to_owned) }
    }

    #[test]
    fn a_node_is_ready_when_the_newest_of_everything_was_accepted() {
        let capabilities = Capabilities::of(None, Protocol::Delta);
        let mut status = NodeStatus::new("n".to_owned(), None, Protocol::Delta, capabilities);
        let kinds = [ResourceType::Cluster, ResourceType::Listener, ResourceType::ExtensionConfig];
        for kind in kinds {
            assert!(!status.is_ready());
            status.sent(kind, "1");
            status.acknowledged(acknowledge(kind, "1", None));
        }
        assert!(status.is_ready());
        status.sent(ResourceType::Listener, "2");
        assert!(!status.is_ready());
        status.acknowledged(acknowledge(ResourceType::Listener, "2", Some("bad")));
        assert!(!status.is_ready());
        assert_eq!(status.rejections().collect::<Vec<_>>(), [(ResourceType::Listener, "bad")]);
    }
}
