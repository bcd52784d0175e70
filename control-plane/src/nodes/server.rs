//! The xDS streams: the I/O of each node's [`Session`].

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};
use weir_xds::{DeltaStream, Event, ResourceType, Secrets, Session, StateOfTheWorldStream, StreamState};

use super::gateways::{GatewayResources, Gateways};
use super::host_contexts::{ContextLimits, HostContexts};
use super::identity::NodeIdentity;
use super::registry::{ConnectedNode, NodeRegistry, NodeStatus};
use super::served_gateway::ServedGateway;
use crate::ca::leaves::LISTED;
use crate::decision_log::hosts_in_use::HostsInUse;
use crate::envoy::capabilities::{Capabilities, LeafDelivery, Protocol, UpstreamTlsStrategy};
use crate::envoy::version::EnvoyVersion;
use crate::nodes::leaf_secrets::SecretEvent;

/// The maximum number of responses that wait for a slow node before its requests wait too.
const PENDING_RESPONSES: usize = 16;
/// The interval between renewals, if more secrets are due than may be renewed at once.
const RENEWAL_STEP: Duration = Duration::from_millis(20);

/// A hook that runs before listeners are sent.
#[derive(Clone)]
pub struct BeforeListeners {
    call: Arc<dyn Fn() + Send + Sync>,
}

impl BeforeListeners {
    /// Creates a hook that runs `call`.
    pub fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self { call: Arc::new(call) }
    }

    /// Creates a hook that does nothing.
    pub fn nothing() -> Self {
        Self::new(|| {})
    }
}

impl fmt::Debug for BeforeListeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BeforeListeners").finish_non_exhaustive()
    }
}

/// Serves each Envoy the resources of its gateway.
#[derive(Clone, Debug)]
pub struct DiscoveryServer {
    /// Weak: the streams end with the control plane.
    gateways: Weak<Gateways>,
    registry: NodeRegistry,
    hosts_in_use: HostsInUse,
    before_listeners: BeforeListeners,
}

impl DiscoveryServer {
    /// Creates a server. A change of a gateway is sent to each of its connected nodes. `before_listeners` is called each
    /// time before listeners are sent.
    pub fn new(
        gateways: &Arc<Gateways>,
        registry: NodeRegistry,
        hosts_in_use: HostsInUse,
        before_listeners: BeforeListeners,
    ) -> Self {
        Self { gateways: Arc::downgrade(gateways), registry, hosts_in_use, before_listeners }
    }

    fn serve<S: StreamState>(
        &self,
        identity: NodeIdentity,
        protocol: Protocol,
        requests: Streaming<S::Request>,
    ) -> ReceiverStream<Result<S::Response, Status>> {
        let (responses, received) = mpsc::channel(PENDING_RESPONSES);
        let server = self.clone();
        tokio::spawn(async move {
            if let Err(status) = server.run::<S>(identity, protocol, requests, &responses).await {
                let (code, message) = (status.code(), status.message());
                if code == Code::Internal {
                    // Weir could not decode the node's request, and Envoy would repeat it.
                    tracing::warn!(message, "the stream of an envoy was ended");
                } else {
                    tracing::debug!(?code, message, "xds stream ended");
                }
                // The node may be gone already.
                let _ = responses.send(Err(status)).await;
            }
        });
        ReceiverStream::new(received)
    }

    async fn run<S: StreamState>(
        self,
        identity: NodeIdentity,
        protocol: Protocol,
        mut requests: Streaming<S::Request>,
        responses: &mpsc::Sender<Result<S::Response, Status>>,
    ) -> Result<(), Status> {
        let Some(first) = requests.next().await.transpose()? else { return Ok(()) };
        let node = S::node(&first).cloned().unwrap_or_default();
        let gateways = self.gateways.upgrade().ok_or_else(|| Status::unavailable("weir ends"))?;
        let mut gateway = gateways.of_node(&identity);
        drop(gateways);
        let mut in_use = self.hosts_in_use.of_node(&identity);
        let mut stream = self.connect::<S>(identity, protocol, &node, &mut gateway, responses)?;
        let GatewayResources { mut snapshots, secrets } = gateway;
        stream.handle(Event::Request(first)).await?;
        let mut renewal = tokio::time::interval(secrets.renewal_interval());
        let mut step = tokio::time::interval(RENEWAL_STEP);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = secrets.events();
        loop {
            let expiry = stream.session.node().hosts.next_expiry();
            let event = tokio::select! {
                request = requests.next() => match request.transpose()? {
                    Some(request) => Event::Request(request),
                    None => return Ok(()),
                },
                changed = snapshots.changed() => match changed {
                    Ok(()) => {
                        stream.session.node_mut().cache = Arc::clone(&snapshots.borrow_and_update());
                        Event::SnapshotChanged
                    }
                    Err(_) => return Ok(()),
                },
                host = in_use.recv() => match host {
                    Ok(host) => {
                        let hosts = &mut stream.session.node_mut().hosts;
                        let mut changed = hosts.used(&host, Instant::now());
                        // Hosts that are waiting in the channel become one change.
                        while let Ok(host) = in_use.try_recv() {
                            changed |= hosts.used(&host, Instant::now());
                        }
                        if !changed {
                            continue;
                        }
                        Event::SnapshotChanged
                    }
                    // A missed host will be used again.
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = until(expiry) => if stream.session.node_mut().hosts.expire(Instant::now()) {
                    Event::SnapshotChanged
                } else {
                    continue;
                },
                event = events.recv() => match event {
                    Ok(SecretEvent::Withdrawn(name)) => Event::SecretWithdrawn(name),
                    Ok(SecretEvent::Renewal) | Err(broadcast::error::RecvError::Lagged(_)) => Event::RenewalDue,
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                _ = renewal.tick() => Event::RenewalDue,
                _ = step.tick(), if stream.session.is_renewing() => Event::RenewalStep,
            };
            stream.handle(event).await?;
        }
    }

    /// Registers a node, and creates its session.
    fn connect<'r, S: StreamState>(
        &self,
        identity: NodeIdentity,
        protocol: Protocol,
        node: &Node,
        gateway: &mut GatewayResources,
        responses: &'r mpsc::Sender<Result<S::Response, Status>>,
    ) -> Result<ConnectedStream<'r, S>, Status> {
        let version = EnvoyVersion::of_node(node);
        let cache = Arc::clone(&gateway.snapshots.borrow_and_update());
        let choice = cache.gateway().deployment.upstream_tls;
        let capabilities = Capabilities::new(version, protocol, choice);
        announce(&identity, node, version, capabilities);
        if let Err(refused) = choice.strategy(version, protocol) {
            tracing::error!(node = %identity, "{refused}");
        }
        let hosts = HostContexts::new(match capabilities.upstream_tls {
            UpstreamTlsStrategy::ContextPerHost => cache.gateway().deployment.host_contexts,
            UpstreamTlsStrategy::SniScopedSessions | UpstreamTlsStrategy::NoSessions => ContextLimits::NONE,
        });
        let served = ServedGateway { cache, capabilities, hosts };
        let session = Session::new(served, Arc::clone(&gateway.secrets) as Arc<dyn Secrets>)
            .map_err(|error| Status::internal(error.to_string()))?;
        let status = NodeStatus {
            label: node.id.clone(),
            version,
            protocol,
            capabilities,
            stream: session.status().clone(),
            accepted_policy: None,
        };
        let before_listeners = self.before_listeners.clone();
        let node = self.registry.connect(identity, status);
        Ok(ConnectedStream { session, node, before_listeners, responses })
    }
}

/// One stream of one node, with its channel for responses.
struct ConnectedStream<'r, S: StreamState> {
    session: Session<S, ServedGateway>,
    node: ConnectedNode,
    before_listeners: BeforeListeners,
    responses: &'r mpsc::Sender<Result<S::Response, Status>>,
}

impl<S: StreamState> ConnectedStream<'_, S> {
    async fn handle(&mut self, event: Event<S::Request>) -> Result<(), Status> {
        let asked = matches!(event, Event::Request(_));
        let output = self.session.handle(event, Instant::now());
        if let Some(rejection) = output.rejection {
            let text = rejection.rejection.unwrap_or_default();
            tracing::error!(kind = rejection.kind.as_str(), rejection = text, "envoy rejected an update");
        }
        let progressed = asked || !output.responses.is_empty();
        let accepted = self.session.is_in_force().then(|| self.session.node().policy());
        self.node.update(|status| {
            if progressed {
                status.stream.clone_from(self.session.status());
            }
            let accepted = accepted.filter(|policy| !status.has_accepted(policy));
            if let Some(policy) = accepted {
                status.accepted_policy = Some(Arc::clone(policy));
            }
            progressed || accepted.is_some()
        });
        for response in output.responses {
            if let (Some(kind), nonce) = S::header(&response) {
                tracing::debug!(kind = kind.as_str(), nonce, "push");
                if kind == ResourceType::Listener {
                    (self.before_listeners.call)();
                }
            }
            self.responses.send(Ok(response)).await.map_err(|_| Status::cancelled("the node is gone"))?;
        }
        Ok(())
    }
}

/// Waits until the given time, or for ever without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

fn announce(identity: &NodeIdentity, node: &Node, version: Option<EnvoyVersion>, capabilities: Capabilities) {
    let strategy = capabilities.upstream_tls.as_str();
    match version {
        Some(version) => {
            tracing::info!(node = %identity, label = node.id, %version, strategy, "envoy connected");
        }
        None => tracing::warn!(
            node = %identity,
            label = node.id,
            strategy,
            "envoy connected without a trustworthy version; it gets the configuration that is right on every version"
        ),
    }
    if capabilities.upstream_tls == UpstreamTlsStrategy::NoSessions {
        tracing::warn!(
            node = %identity,
            "no TLS session of an upstream is resumed here: every new connection costs a full handshake"
        );
    }
    if capabilities.leaf_delivery == LeafDelivery::InAdvance {
        tracing::warn!(
            node = %identity,
            "certificates are made in advance here, for {LISTED} exact hosts of the policy at most: no host under a \
             wildcard can be reached over TLS, and a host outside the policy is refused at CONNECT"
        );
    }
}

/// The response stream of a service.
pub type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for DiscoveryServer {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let identity = NodeIdentity::from_request(&request)?;
        let (protocol, requests) = (Protocol::StateOfTheWorld, request.into_inner());
        Ok(Response::new(Box::pin(self.serve::<StateOfTheWorldStream>(identity, protocol, requests))))
    }

    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let identity = NodeIdentity::from_request(&request)?;
        let (protocol, requests) = (Protocol::Delta, request.into_inner());
        Ok(Response::new(Box::pin(self.serve::<DeltaStream>(identity, protocol, requests))))
    }
}
