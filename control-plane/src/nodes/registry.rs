//! The connected nodes, and the progress of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use weir_xds::StreamStatus;

use super::identity::NodeIdentity;
use crate::envoy::capabilities::{Capabilities, Protocol};
use crate::envoy::gateway::GatewayPolicy;
use crate::envoy::version::EnvoyVersion;

/// The status of one stream of one node.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// The node's own label, `node.id`. It is for people to read and decides nothing.
    pub label: String,
    /// The release of Envoy, if the node reports a trustworthy one.
    pub version: Option<EnvoyVersion>,
    /// The protocol of the stream.
    pub protocol: Protocol,
    /// The node's capabilities, which decide the form of its resources.
    pub capabilities: Capabilities,
    /// The resources that the node has accepted and rejected.
    pub stream: StreamStatus,
    /// The last policy of which the node has accepted everything; `None` until then.
    pub accepted_policy: Option<Arc<GatewayPolicy>>,
}

impl NodeStatus {
    /// Returns whether the node has accepted everything of this very policy, and nothing newer.
    pub fn has_accepted(&self, policy: &Arc<GatewayPolicy>) -> bool {
        self.accepted_policy.as_ref().is_some_and(|accepted| Arc::ptr_eq(accepted, policy))
    }
}

/// The name of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// The node, which may have several streams: a new one may begin before the end of the last.
    pub node: NodeIdentity,
    /// The stream's number, which no other present stream has.
    pub number: u64,
}

/// The connected nodes.
pub(crate) type Nodes = BTreeMap<StreamId, NodeStatus>;

/// Publishes [`Nodes`] and lets callers wait for changes.
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
    /// Subscribes to every change.
    pub fn subscribe(&self) -> watch::Receiver<Nodes> {
        self.nodes.subscribe()
    }

    pub(super) fn connect(&self, node: NodeIdentity, status: NodeStatus) -> ConnectedNode {
        let mut stream = StreamId { node, number: 0 };
        self.nodes.send_modify(|nodes| {
            stream.number = nodes.keys().map(|stream| stream.number + 1).max().unwrap_or(0);
            nodes.insert(stream.clone(), status);
        });
        ConnectedNode { registry: self.clone(), stream }
    }
}

/// A node's entry in the registry. Dropping it removes the entry.
#[derive(Debug)]
pub(super) struct ConnectedNode {
    registry: NodeRegistry,
    stream: StreamId,
}

impl ConnectedNode {
    /// Changes the node's status. `change` returns whether it did.
    pub(super) fn update(&self, change: impl FnOnce(&mut NodeStatus) -> bool) {
        self.registry.nodes.send_if_modified(|nodes| nodes.get_mut(&self.stream).is_some_and(change));
    }
}

impl Drop for ConnectedNode {
    fn drop(&mut self) {
        self.registry.nodes.send_modify(|nodes| {
            nodes.remove(&self.stream);
        });
    }
}
