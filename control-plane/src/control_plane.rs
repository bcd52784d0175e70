//! The control plane: it takes a policy, serves resources and leaves, and collects decisions.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use weir_policy::Policy;

use crate::address::own::OwnAddresses;
use crate::ca::Ca;
use crate::ca::leaves::{LeafLimits, Leaves};
use crate::decision_log::server::DecisionLog;
use crate::envoy::resources::{Gateway, RegoPolicy};
use crate::input::proxy_credentials::AcceptedCredentials;
use crate::input::upstream_files::UpstreamFiles;
use crate::nodes::leaf_secrets::LeafSecrets;
use crate::nodes::registry::NodeRegistry;
use crate::nodes::server::{BeforeListeners, DiscoveryServer};
use crate::nodes::service::DiscoveryService;
use crate::nodes::snapshot_cache::SnapshotCache;

/// A policy document that allows no request.
const NOTHING: &str = "rules: []";

/// The flow-control window, in bytes, of a stream and of a connection. A worker's connection has two access logs of
/// each listener.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Serves Envoys until it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    gateway: Mutex<Gateway>,
    policy: watch::Sender<Arc<Policy>>,
    snapshots: watch::Sender<Arc<SnapshotCache>>,
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
        let policy = watch::Sender::new(Arc::clone(&gateway.policy));
        let secrets = Arc::new(LeafSecrets::new(Leaves::new(ca, limits), policy.subscribe()));
        Self {
            policy,
            snapshots: watch::Sender::new(Arc::new(SnapshotCache::new(gateway.clone()))),
            gateway: Mutex::new(gateway),
            secrets,
            nodes: NodeRegistry::default(),
            decisions: DecisionLog::default(),
            ending: AtomicBool::new(false),
        }
    }

    /// Puts another policy into force on every connected Envoy, with the files that its upstreams name and its Rego
    /// policy.
    pub fn replace_policy(&self, policy: Arc<Policy>, files: Arc<UpstreamFiles>, rego: Option<RegoPolicy>) {
        self.policy.send_replace(Arc::clone(&policy));
        self.secrets.policy_changed();
        self.change(|gateway| {
            if !self.ending.load(Ordering::SeqCst) {
                (gateway.policy, gateway.upstream_files, gateway.rego) = (policy, files, rego);
            }
        });
    }

    /// Denies every request that begins from now on. It must be called shortly before the end; requests under way
    /// continue.
    pub fn deny_everything(&self) {
        self.ending.store(true, Ordering::SeqCst);
        match weir_policy::compile(NOTHING) {
            Ok(nothing) => self.change(|gateway| (gateway.policy, gateway.rego) = (Arc::new(nothing), None)),
            Err(faults) => tracing::error!(?faults, "the policy that denies everything is none"),
        }
    }

    /// Verifies upstreams by these roots (PEM) from now on. Connections that other roots verified end.
    pub fn replace_upstream_roots(&self, roots: Arc<str>) {
        self.change(|gateway| gateway.upstream_roots = roots);
    }

    /// Denies requests to these addresses of the machine from now on, unless their rule lists the address.
    pub fn replace_own_addresses(&self, own: OwnAddresses) {
        self.change(|gateway| gateway.own_addresses = own);
    }

    /// Requires these credentials at the explicit proxy from now on. Open tunnels stay.
    pub fn replace_proxy_credentials(&self, accepted: AcceptedCredentials) {
        self.change(|gateway| gateway.proxy_credentials = Some(accepted));
    }

    /// Listens on these addresses from now on, in place of the earlier ones.
    pub fn replace_addresses(&self, listen: SocketAddr, transparent: Vec<SocketAddr>) {
        self.change(|gateway| (gateway.listen, gateway.transparent) = (listen, transparent));
    }

    fn change(&self, change: impl FnOnce(&mut Gateway)) {
        // A panic cannot leave a value half changed.
        let mut gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut gateway);
        self.snapshots.send_replace(Arc::new(SnapshotCache::new(gateway.clone())));
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

    /// Serves on a Unix socket, whose file mode decides which users may connect. `before_listeners` is called each time
    /// before an Envoy gets listeners.
    ///
    /// # Errors
    /// When the transport fails.
    pub fn serve(
        &self,
        socket: UnixListener,
        before_listeners: BeforeListeners,
    ) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + use<> {
        let discovery = DiscoveryServer::new(
            self.snapshots.subscribe(),
            Arc::clone(&self.secrets),
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
            .serve_with_incoming(UnixListenerStream::new(socket));
        let (secrets, decisions) = (Arc::clone(&self.secrets), self.decisions.subscribe());
        async move {
            tokio::select! {
                served = serving => served,
                () = secrets.reap(decisions) => Ok(()),
            }
        }
    }
}
