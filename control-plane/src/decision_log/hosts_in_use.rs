//! The hosts that each node uses, from its decisions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use envoy_types::pb::envoy::data::accesslog::v3::HttpAccessLogEntry;
use tokio::sync::broadcast;
use weir_policy::Host;

use super::LoggedDecision;
use crate::envoy::resources::names;
use crate::nodes::identity::NodeIdentity;

/// The maximum number of uses in a slow receiver's queue. It misses further ones; a host in use will be used again.
const PENDING: usize = 256;

/// Sends each stream the hosts of its own node.
#[derive(Debug, Clone, Default)]
pub struct HostsInUse {
    nodes: Arc<Mutex<HashMap<NodeIdentity, broadcast::Sender<Host>>>>,
}

impl HostsInUse {
    /// Receives this node's hosts from now on: a host each time that it answers over TLS with a certificate that was
    /// verified for it.
    pub fn of_node(&self, node: &NodeIdentity) -> broadcast::Receiver<Host> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, listeners| listeners.receiver_count() > 0);
        nodes.entry(node.clone()).or_insert_with(|| broadcast::channel(PENDING).0).subscribe()
    }

    /// Takes note of a decision of its node.
    pub(super) fn note(&self, entry: &HttpAccessLogEntry, decision: &LoggedDecision) {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(listeners), Some(host)) = (nodes.get(&decision.node), host(entry, decision)) {
            // A channel without receivers is not an error.
            let _ = listeners.send(host);
        }
    }
}

/// Returns the host of a request that used the shared cluster or the host's own. A request to a rule's own upstream may
/// have another server name, so its host does not count.
fn host(entry: &HttpAccessLogEntry, decision: &LoggedDecision) -> Option<Host> {
    let cluster = entry.common_properties.as_ref()?.upstream_cluster.as_str();
    let host = Host::parse(decision.record.host.as_bytes()).ok()?;
    let here = cluster == names::HTTPS_CLUSTER || names::host_of_cluster(cluster).as_ref() == Some(&host);
    // On these clusters, only a host with a verified certificate can answer.
    (here && decision.details == "via_upstream").then_some(host)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::data::accesslog::v3::{AccessLogCommon, HttpResponseProperties};
    use envoy_types::pb::google::protobuf::StringValue;
    use envoy_types::util::pack_any;

    use super::*;
    use crate::nodes::identity::tests::node;

    const RECORD: &str = r#"{"effect":"allow","reason":"allowed","rule":"r","decision_id":"1","policy_version":"2","host":"a.example","port":443,"scheme":"https","method":"GET","path":"/"}"#;

    /// Returns the host that is noted for an answer over this cluster, with a certificate for `*.example`.
    fn noted(cluster: &str, details: &str) -> Option<String> {
        let record = pack_any(StringValue { value: RECORD.to_owned() });
        let entry = HttpAccessLogEntry {
            common_properties: Some(AccessLogCommon {
                filter_state_objects: [(weir_contract::filter_state::RECORD.to_owned(), record)].into(),
                upstream_cluster: cluster.to_owned(),
                custom_tags: [(names::PEER_NAMES.to_owned(), "*.example".to_owned())].into(),
                ..AccessLogCommon::default()
            }),
            response: Some(HttpResponseProperties {
                response_code_details: details.to_owned(),
                ..HttpResponseProperties::default()
            }),
            ..HttpAccessLogEntry::default()
        };
        let hosts_in_use = HostsInUse::default();
        let decision = LoggedDecision::of_entry("weir_intercept", &entry).unwrap();
        let mut hosts = hosts_in_use.of_node(&decision.node);
        hosts_in_use.note(&entry, &decision);
        hosts_in_use.note(&entry, &LoggedDecision { node: node(99), ..decision });
        let noted = hosts.try_recv().ok().map(|host| host.to_string());
        assert!(hosts.try_recv().is_err(), "another node's hosts are its own");
        noted
    }

    #[test]
    fn a_host_that_answered_over_the_shared_cluster_or_its_own_is_in_use() {
        for cluster in [names::HTTPS_CLUSTER.to_owned(), names::host_cluster(&"a.example".parse().unwrap())] {
            assert_eq!(noted(&cluster, "via_upstream").as_deref(), Some("a.example"), "{cluster}");
        }
    }

    #[test]
    fn a_host_that_did_not_answer_or_was_reached_in_another_way_is_not() {
        assert_eq!(noted(names::HTTPS_CLUSTER, "upstream_reset_before_response_started"), None);
        for cluster in [names::HTTPS_UPGRADE_CLUSTER, names::HTTP_CLUSTER, "another"] {
            assert_eq!(noted(cluster, "via_upstream"), None, "{cluster}");
        }
    }
}
