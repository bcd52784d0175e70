//! The control plane as one thing: a policy in, resources and leaves out, decisions back.

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
use crate::ca::leaves::{Leaves, Limits};
use crate::decision_log::server::DecisionLog;
use crate::envoy::resources::{Gateway, RegoPolicy};
use crate::input::proxy_credentials::AcceptedCredentials;
use crate::input::upstream_files::UpstreamFiles;
use crate::nodes::leaf_secrets::LeafSecrets;
use crate::nodes::registry::NodeRegistry;
use crate::nodes::server::{BeforeListeners, DiscoveryServer};
use crate::nodes::snapshot_cache::SnapshotCache;

/// A policy document that allows nothing.
const NOTHING: &str = "rules: []";

/// What an Envoy may send ahead on a stream and on a connection, in bytes. A worker's connection has two access logs of
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
    /// Set once [`Self::deny_everything`] has been called: a later edit must not open anything again.
    ending: AtomicBool,
}

impl ControlPlane {
    /// Serves a gateway, with leaves of this CA.
    pub fn new(gateway: Gateway, ca: Arc<Ca>) -> Self {
        Self::with_limits(gateway, ca, Limits::default())
    }

    /// Serves a gateway, with leaves of this CA within these limits.
    pub fn with_limits(gateway: Gateway, ca: Arc<Ca>, limits: Limits) -> Self {
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

    /// Puts another policy into force on every connected Envoy, with the files that its upstreams name and the Rego policy
    /// that it needs.
    pub fn replace_policy(&self, policy: Arc<Policy>, files: Arc<UpstreamFiles>, rego: Option<RegoPolicy>) {
        self.policy.send_replace(Arc::clone(&policy));
        self.secrets.policy_changed();
        self.change(|gateway| {
            if !self.ending.load(Ordering::SeqCst) {
                (gateway.policy, gateway.upstream_files, gateway.rego) = (policy, files, rego);
            }
        });
    }

    /// Denies every request that begins from now on. To be called when the end is near: requests under way go on.
    pub fn deny_everything(&self) {
        self.ending.store(true, Ordering::SeqCst);
        match weir_policy::compile(NOTHING) {
            Ok(nothing) => self.change(|gateway| (gateway.policy, gateway.rego) = (Arc::new(nothing), None)),
            Err(faults) => tracing::error!(?faults, "the policy that denies everything is none"),
        }
    }

    /// Verifies upstreams by these roots (PEM) from now on. Connections that were verified by others end.
    pub fn replace_upstream_roots(&self, roots: Arc<str>) {
        self.change(|gateway| gateway.upstream_roots = roots);
    }

    /// Keeps these addresses of the machine from requests whose rule does not list them, from now on.
    pub fn replace_own_addresses(&self, own: OwnAddresses) {
        self.change(|gateway| gateway.own_addresses = own);
    }

    /// Lets in to the explicit proxy who knows one of these from now on. Tunnels that are open stay.
    pub fn replace_proxy_credentials(&self, accepted: AcceptedCredentials) {
        self.change(|gateway| gateway.proxy_credentials = Some(accepted));
    }

    /// Listens on these addresses from now on, in place of those before.
    pub fn replace_addresses(&self, listen: SocketAddr, transparent: Vec<SocketAddr>) {
        self.change(|gateway| (gateway.listen, gateway.transparent) = (listen, transparent));
    }

    fn change(&self, change: impl FnOnce(&mut Gateway)) {
        // A panic in a change leaves whole values.
        let mut gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut gateway);
        self.snapshots.send_replace(Arc::new(SnapshotCache::new(gateway.clone())));
    }

    /// Renews the leaves that every connected Envoy holds. To be called when the CA is another one.
    pub fn authority_changed(&self) {
        self.secrets.authority_changed();
    }

    /// The policy in force.
    pub fn policy(&self) -> watch::Receiver<Arc<Policy>> {
        self.policy.subscribe()
    }

    /// The connected Envoys.
    pub fn nodes(&self) -> &NodeRegistry {
        &self.nodes
    }

    /// What they decide.
    pub fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    /// Serves on a Unix socket; who may open it is the file's mode. `before_listeners` is called each time before an Envoy is
    /// sent listeners.
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
            // An access log that waits for its window is one whose buffer fills. Each of a connection's streams has its own
            // part of the connection's window, so that none waits for another.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(discovery.into_service())
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
