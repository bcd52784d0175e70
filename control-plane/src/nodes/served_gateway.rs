//! The resources of one node: the snapshot of its gateway, and the clusters of the hosts that it uses.

use std::sync::Arc;
use std::time::Instant;

use weir_xds::{InconsistentSnapshot, ResourceType, ServedNode, Snapshot};

use super::host_contexts::HostContexts;
use super::snapshot_cache::SnapshotCache;
use crate::envoy::capabilities::{Capabilities, LeafDelivery};
use crate::envoy::gateway::GatewayPolicy;

/// The resources of one node.
#[derive(Debug)]
pub(super) struct ServedGateway {
    pub(super) cache: Arc<SnapshotCache>,
    pub(super) capabilities: Capabilities,
    pub(super) hosts: HostContexts,
}

impl ServedGateway {
    /// The policy of the node.
    pub(super) fn policy(&self) -> &Arc<GatewayPolicy> {
        &self.cache.gateway().policy
    }
}

impl ServedNode for ServedGateway {
    fn snapshot(&self) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        self.cache.snapshot(self.capabilities, &self.hosts).inspect_err(
            |error| tracing::error!(%error, "the resources do not fit together; the node keeps its own"),
        )
    }

    fn adopt_clusters(&mut self, names: &[&str], now: Instant) {
        self.hosts.adopt(names.iter().copied(), now);
    }

    /// Adds a host's route after its cluster was accepted, and removes its cluster after the table without the route
    /// was.
    fn accepted(&mut self, kind: ResourceType, now: Instant) -> bool {
        match kind {
            ResourceType::Cluster => self.hosts.clusters_accepted(),
            ResourceType::Route => {
                self.hosts.table_accepted(now);
                false
            }
            ResourceType::Listener | ResourceType::ExtensionConfig | ResourceType::Secret => false,
        }
    }

    fn rejected(&mut self, kind: ResourceType) -> bool {
        let of_hosts = matches!(kind, ResourceType::Cluster | ResourceType::Route);
        if of_hosts {
            self.hosts.rejected();
        }
        of_hosts
    }

    fn asks_for_secrets(&self) -> bool {
        self.capabilities.leaf_delivery == LeafDelivery::OnDemand
    }
}
