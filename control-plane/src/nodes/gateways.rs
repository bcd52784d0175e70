//! The gateway of each node: the one place that leads from an identity to a policy, settings and leaves.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::identity::NodeIdentity;
use super::leaf_secrets::LeafSecrets;
use super::snapshot_cache::SnapshotCache;
use crate::envoy::gateway::Gateway;

/// The gateways of the nodes. Today there is one, which every identity gets.
#[derive(Debug)]
pub struct Gateways {
    gateway: Mutex<Gateway>,
    snapshots: watch::Sender<Arc<SnapshotCache>>,
    secrets: Arc<LeafSecrets>,
}

/// The resources of one gateway, and their changes.
#[derive(Debug, Clone)]
pub(super) struct GatewayResources {
    /// The snapshots. The channel closes when the control plane ends.
    pub(super) snapshots: watch::Receiver<Arc<SnapshotCache>>,
    /// The leaves.
    pub(super) secrets: Arc<LeafSecrets>,
}

impl Gateways {
    /// Creates the gateway that every identity gets.
    pub fn new(gateway: Gateway, secrets: Arc<LeafSecrets>) -> Self {
        let snapshots = watch::Sender::new(Arc::new(SnapshotCache::new(gateway.clone())));
        Self { gateway: Mutex::new(gateway), snapshots, secrets }
    }

    /// The resources for the node of this identity.
    pub(super) fn of_node(&self, _every_identity_gets_the_same: &NodeIdentity) -> GatewayResources {
        GatewayResources { snapshots: self.snapshots.subscribe(), secrets: Arc::clone(&self.secrets) }
    }

    /// Changes the gateway, and sends the new resources to its nodes.
    pub fn change(&self, change: impl FnOnce(&mut Gateway)) {
        // A panic in a change leaves whole values.
        let mut gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut gateway);
        self.snapshots.send_replace(Arc::new(SnapshotCache::new(gateway.clone())));
    }
}
