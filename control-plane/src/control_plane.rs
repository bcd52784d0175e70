//! The control plane: it takes a policy, serves resources and leaves, and collects decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UnixListener;
use tokio::sync::watch;
use tonic::transport::Server;
use weir_policy::Policy;

use crate::ca::Ca;
use crate::ca::leaves::{LeafLimits, Leaves};
use crate::decision_log::server::DecisionLog;
use crate::envoy::gateway::{Deployment, Gateway, GatewayPolicy, NodeSettings};
use crate::nodes::gateways::Gateways;
use crate::nodes::leaf_secrets::LeafSecrets;
use crate::nodes::registry::NodeRegistry;
use crate::nodes::server::{BeforeListeners, DiscoveryServer};
use crate::nodes::service::DiscoveryService;
use crate::nodes::transport;

/// A policy document that allows no request.
const NOTHING: &str = "rules: []";

/// The flow-control window, in bytes, of a stream and of a connection. A worker's connection has two access logs of
/// each listener.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Serves Envoys until it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    gateways: Arc<Gateways>,
    policy: watch::Sender<Arc<Policy>>,
    secrets: Arc<LeafSecrets>,
    nodes: NodeRegistry,
    decisions: DecisionLog,
    /// Whether [`Self::deny_everything`] has been called. A later edit must not allow requests again.
    ending: AtomicBool,
}

impl ControlPlane {
    /// Makes a control plane for a gateway, with leaves of this CA.
    pub fn new(gateway: Gateway, ca: Arc<Ca>) -> Self {
        Self::with_limits(gateway, ca, LeafLimits::default())
    }

    /// Makes a control plane for a gateway, with leaves of this CA within these limits.
    pub fn with_limits(gateway: Gateway, ca: Arc<Ca>, limits: LeafLimits) -> Self {
        let policy = watch::Sender::new(Arc::clone(&gateway.policy.rules));
        let secrets = Arc::new(LeafSecrets::new(Leaves::new(ca, limits), policy.subscribe()));
        Self {
            policy,
            gateways: Arc::new(Gateways::new(gateway, Arc::clone(&secrets))),
            secrets,
            nodes: NodeRegistry::default(),
            decisions: DecisionLog::default(),
            ending: AtomicBool::new(false),
        }
    }

    /// Sends every connected Envoy another policy. A node's status has the policy, which this function returns, once
    /// the node has accepted all of it.
    pub fn replace_policy(&self, policy: GatewayPolicy) -> Arc<GatewayPolicy> {
        let policy = Arc::new(policy);
        self.policy.send_replace(Arc::clone(&policy.rules));
        self.secrets.policy_changed();
        self.gateways.change(|gateway| {
            if !self.ending.load(Ordering::SeqCst) {
                gateway.policy = Arc::clone(&policy);
            }
        });
        policy
    }

    /// Denies every request that begins from now on. It must be called shortly before the end; requests under way
    /// continue.
    pub fn deny_everything(&self) {
        self.ending.store(true, Ordering::SeqCst);
        match weir_policy::compile(NOTHING) {
            Ok(nothing) => self.gateways.change(|gateway| {
                let policy = Arc::make_mut(&mut gateway.policy);
                (policy.rules, policy.rego) = (Arc::new(nothing), None);
            }),
            Err(faults) => tracing::error!(?faults, "the policy that denies everything does not compile"),
        }
    }

    /// Changes the deployment's settings. Connections that other roots verified end.
    pub fn change_deployment(&self, change: impl FnOnce(&mut Deployment)) {
        self.gateways.change(|gateway| change(Arc::make_mut(&mut gateway.deployment)));
    }

    /// Changes the settings of the nodes. Tunnels of clients with former credentials stay open.
    pub fn change_node_settings(&self, change: impl FnOnce(&mut NodeSettings)) {
        self.gateways.change(|gateway| change(Arc::make_mut(&mut gateway.node)));
    }

    /// Renews the leaves that every connected Envoy holds. It must be called when the CA has changed.
    pub fn signing_ca_changed(&self) {
        self.secrets.signing_ca_changed();
    }

    /// Returns the policy in force.
    pub fn policy(&self) -> watch::Receiver<Arc<Policy>> {
        self.policy.subscribe()
    }

    /// Returns the connected Envoys.
    pub fn nodes(&self) -> &NodeRegistry {
        &self.nodes
    }

    /// Returns the log of the Envoys' decisions.
    pub fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    /// Serves on a Unix socket, for processes of this user and of root. `before_listeners` is called each time before an
    /// Envoy is sent listeners.
    ///
    /// # Errors
    /// When the transport fails.
    pub fn serve(
        &self,
        socket: UnixListener,
        before_listeners: BeforeListeners,
    ) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + use<> {
        let discovery = DiscoveryServer::new(
            &self.gateways,
            self.nodes.clone(),
            self.decisions.hosts_in_use().clone(),
            before_listeners,
        );
        let serving = Server::builder()
            // If an access log waits for its window, its buffer fills. Each stream has its own share of the
            // connection's window, so that streams do not wait for each other.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(DiscoveryService::new(discovery))
            .add_service(self.decisions.clone().into_service())
            .serve_with_incoming(transport::unix_connections(socket));
        let (secrets, decisions) = (Arc::clone(&self.secrets), self.decisions.subscribe());
        async move {
            tokio::select! {
                served = serving => served,
                () = secrets.reap(decisions) => Ok(()),
            }
        }
    }
}
