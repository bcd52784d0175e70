//! The description of a gateway, from which Envoy's resources are built: policy, deployment and node.
//!
//! | part | who decides it | shared by |
//! |---|---|---|
//! | [`GatewayPolicy`] | the policy document and the files that it names | every node of one policy |
//! | [`Deployment`] | the operator, and this release of Weir | every node of one control plane |
//! | [`NodeSettings`] | the machine that Envoy runs on | nodes that are set up alike |

use std::net::SocketAddr;
use std::sync::Arc;

use weir_policy::{Policy, PolicyVersion};

use super::capabilities::UpstreamTlsChoice;
use super::capacity::Capacity;
use super::filter_module::FilterModules;
use super::resources::timeouts::Timeouts;
use crate::address::own::OwnAddresses;
use crate::input::loaded_policy::LoadedPolicy;
use crate::input::proxy_credentials::AcceptedCredentials;
use crate::input::upstream_files::UpstreamFiles;
use crate::nodes::host_contexts::ContextLimits;

/// A gateway. Two gateways that are equal in a part share it.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The policy in force.
    pub policy: Arc<GatewayPolicy>,
    /// The settings of all nodes.
    pub deployment: Arc<Deployment>,
    /// The settings of one node.
    pub node: Arc<NodeSettings>,
}

/// A policy with all that it names.
#[derive(Debug, Clone)]
pub struct GatewayPolicy {
    /// The compiled rules.
    pub rules: Arc<Policy>,
    /// The contents of the files that the upstreams of the rules name.
    pub upstream_files: Arc<UpstreamFiles>,
    /// The bytes of the [`weir_rego::Plan`] whose decision must also be allow.
    pub rego: Option<Arc<[u8]>>,
}

impl GatewayPolicy {
    /// The version of the rules and the Rego policy together. Decisions carry it.
    pub fn version(&self) -> PolicyVersion {
        let version = self.rules.version();
        self.rego.as_ref().map_or(version, |rego| version.with(rego))
    }
}

impl From<LoadedPolicy> for GatewayPolicy {
    fn from(LoadedPolicy { policy, upstream_files, rego, warnings: _ }: LoadedPolicy) -> Self {
        let rego = rego.map(|rego| rego.plan.to_bytes().into());
        Self { rules: policy.into(), upstream_files, rego }
    }
}

/// The settings that an operator makes for every node.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The filter's Wasm modules.
    pub filter: FilterModules,
    /// The roots that verify upstreams, in PEM.
    pub upstream_roots: Arc<str>,
    /// The strategy that keeps the TLS sessions of hosts on one address apart.
    pub upstream_tls: UpstreamTlsChoice,
    /// The limits of hosts with a TLS context of their own, with
    /// [`UpstreamTlsStrategy::ContextPerHost`](super::capabilities::UpstreamTlsStrategy).
    pub host_contexts: ContextLimits,
    /// The time for which connections and streams may be silent.
    pub timeouts: Timeouts,
}

/// The settings of one node and its machine.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// The address of the explicit proxy.
    pub listen: SocketAddr,
    /// The addresses that take redirected connections.
    pub transparent: Vec<SocketAddr>,
    /// The credentials of the explicit proxy; `None` if it requires none.
    pub proxy_credentials: Option<AcceptedCredentials>,
    /// The resolver that Envoy asks; `None` for the system's. It must withhold every address that a rule of the name
    /// could refuse (`dns.rs`).
    pub resolver: Option<SocketAddr>,
    /// The machine's own addresses. Only `addresses` of a rule opens them.
    pub own_addresses: OwnAddresses,
    /// The share of its machine that Envoy may use.
    pub capacity: Capacity,
}
