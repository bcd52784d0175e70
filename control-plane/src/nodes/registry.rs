//! The connected nodes, and how far each one is.

use std::collections::BTreeMap;

use tokio::sync::watch;
use weir_xds::StreamStatus;

use crate::capabilities::{Capabilities, Protocol};
use crate::envoy_version::EnvoyVersion;

/// One stream of one node.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// The node's own label for people, `node.id`. It decides nothing.
    pub label: String,
    /// The release of Envoy, if it can be known.
    pub version: Option<EnvoyVersion>,
    /// The protocol of the stream.
    pub protocol: Protocol,
    /// The forms of resources that the node gets.
    pub capabilities: Capabilities,
    /// What the node has accepted and rejected.
    pub stream: StreamStatus,
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
