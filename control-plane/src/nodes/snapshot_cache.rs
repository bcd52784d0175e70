//! The snapshots of one gateway, built once for each kind of node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use weir_policy::Host;
use weir_xds::{InconsistentSnapshot, Resource, Snapshot};

use super::host_contexts::HostContexts;
use crate::envoy::capabilities::Capabilities;
use crate::envoy::gateway::Gateway;
use crate::envoy::resources;

/// The maximum number of encoded host clusters that are kept for the next node.
const HOST_CLUSTERS: usize = 4096;

/// The snapshots of one gateway, for all nodes that have it. Each is built once, when the first node of its kind connects.
#[derive(Debug)]
pub(super) struct SnapshotCache {
    gateway: Gateway,
    built: Mutex<HashMap<Capabilities, Arc<Snapshot>>>,
    host_clusters: Mutex<HashMap<Host, Arc<Resource>>>,
}

impl SnapshotCache {
    /// Creates an empty cache for a gateway.
    pub(super) fn new(gateway: Gateway) -> Self {
        Self { gateway, built: Mutex::default(), host_clusters: Mutex::default() }
    }

    /// The gateway that the snapshots describe.
    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Returns the snapshot for a node with these capabilities and these hosts.
    ///
    /// # Errors
    /// When the resources are inconsistent. None of them is served then.
    pub(super) fn snapshot(
        &self,
        capabilities: Capabilities,
        hosts: &HostContexts,
    ) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        let snapshot = self.shared(capabilities)?;
        let hosts_with_clusters = hosts.clusters();
        if hosts_with_clusters.is_empty() {
            return Ok(snapshot);
        }
        let clusters = hosts_with_clusters.into_iter().map(|host| self.host_cluster(host));
        Ok(Arc::new(resources::with_hosts(&snapshot, clusters, hosts.routed())?))
    }

    fn host_cluster(&self, host: &Host) -> Arc<Resource> {
        let mut clusters = self.host_clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = clusters.get(host) {
            return Arc::clone(cluster);
        }
        if clusters.len() >= HOST_CLUSTERS {
            clusters.clear();
        }
        let cluster = Arc::new(resources::host_cluster(&self.gateway, host));
        clusters.insert(*host, Arc::clone(&cluster));
        cluster
    }

    fn shared(&self, capabilities: Capabilities) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        // A panic while a snapshot is built leaves the map unchanged, so a poisoned lock does no harm.
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = built.get(&capabilities) {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(resources::build(&self.gateway, capabilities)?);
        built.insert(capabilities, Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
