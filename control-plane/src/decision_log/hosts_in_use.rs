//! Which hosts each node goes to, as its decisions tell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use envoy_types::pb::envoy::data::accesslog::v3::HttpAccessLogEntry;
use tokio::sync::broadcast;
use weir_policy::Host;

use super::Decision;
use crate::resources::names;

/// Uses that a slow stream may be behind before it misses some; a host that is in use will be used again.
const PENDING: usize = 256;

/// Tells each stream the hosts of its own node.
#[derive(Debug, Clone, Default)]
pub struct HostsInUse {
    nodes: Arc<Mutex<HashMap<String, broadcast::Sender<Host>>>>,
}

impl HostsInUse {
    /// The hosts of this node from now on: each time that one answered over TLS with a certificate that was verified
    /// for it.
    pub fn of_node(&self, node: &str) -> broadcast::Receiver<Host> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, listeners| listeners.receiver_count() > 0);
        nodes.entry(node.to_owned()).or_insert_with(|| broadcast::channel(PENDING).0).subscribe()
    }

    /// Takes note of what a node decided.
    pub(super) fn note(&self, node: &str, entry: &HttpAccessLogEntry, decision: &Decision) {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(listeners), Some(host)) = (nodes.get(node), host(entry, decision)) {
            // Nobody listening is no failure.
            let _ = listeners.send(host);
        }
    }
}

/// The host of a request that went over the cluster that all hosts share, or over its own. What a rule sends elsewhere
/// may have another server name, and is none of them.
fn host(entry: &HttpAccessLogEntry, decision: &Decision) -> Option<Host> {
    // There are names only where a certificate was verified; they are the certificate's own, `*.example` among them.
    decision.upstream_names.first()?;
    let host = Host::parse(decision.record.host.as_bytes()).ok()?;
    let cluster = entry.common_properties.as_ref()?.upstream_cluster.as_str();
    (cluster == names::HTTPS_CLUSTER || names::host_of_cluster(cluster).as_ref() == Some(&host))
        .then_some(host)
}
