//! The connected nodes, and the progress of each.

use std::collections::BTreeMap;

use tokio::sync::watch;
use weir_xds::StreamStatus;

use crate::envoy::capabilities::{Capabilities, Protocol};
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
}

/// The connected nodes, by stream number.
pub(crate) type Nodes = BTreeMap<u64, NodeStatus>;

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

    pub(super) fn connect(&self, status: NodeStatus) -> ConnectedNode {
        let mut stream = 0;
        self.nodes.send_modify(|nodes| {
            stream = nodes.last_key_value().map_or(0, |(last, _)| last + 1);
            nodes.insert(stream, status);
        });
        ConnectedNode { registry: self.clone(), stream }
    }
}

/// A node's entry in the registry. Dropping it removes the entry.
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
