//! The streams: bytes in and out of [`delta`](super::delta) and [`state_of_the_world`](super::state_of_the_world).

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use super::ResourceType;
use super::delta::DeltaStream;
use super::host_contexts::{HostContexts, Limits};
use super::node_status::{ConnectedNode, NodeRegistry, NodeStatus};
use super::service::DiscoveryService;
use super::source::{Catalogue, SecretEvent, Secrets, Source};
use super::state_of_the_world::StateOfTheWorldStream;
use super::stream::StreamState;
use crate::ca::leaves::LISTED;
use crate::capabilities::{Capabilities, LeafDelivery, UpstreamTlsStrategy};
use crate::decision_log::hosts_in_use::HostsInUse;
use crate::envoy_version::EnvoyVersion;
use crate::snapshot::Snapshot;

/// Responses that may wait for a slow node before its requests wait too.
const PENDING_RESPONSES: usize = 16;
/// How often the next secrets are renewed, if there are more than may be made at once.
const RENEWAL_STEP: Duration = Duration::from_millis(20);

/// Serves every Envoy from one catalogue.
#[derive(Clone)]
pub struct DiscoveryServer {
    catalogue: watch::Receiver<Arc<Catalogue>>,
    secrets: Arc<dyn Secrets>,
    registry: NodeRegistry,
    hosts_in_use: HostsInUse,
}

impl std::fmt::Debug for DiscoveryServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DiscoveryServer").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl DiscoveryServer {
    /// A new catalogue in the channel reaches every connected node.
    pub fn new(
        catalogue: watch::Receiver<Arc<Catalogue>>,
        secrets: Arc<dyn Secrets>,
        registry: NodeRegistry,
        hosts_in_use: HostsInUse,
    ) -> Self {
        Self { catalogue, secrets, registry, hosts_in_use }
    }

    /// As a gRPC service.
    pub fn into_service(self) -> DiscoveryService {
        DiscoveryService::new(self)
    }

    fn serve<S: StreamState>(
        &self,
        requests: Streaming<S::Request>,
    ) -> ReceiverStream<Result<S::Response, Status>> {
        let (responses, received) = mpsc::channel(PENDING_RESPONSES);
        let server = self.clone();
        tokio::spawn(async move {
            if let Err(status) = server.run::<S>(requests, &responses).await {
                let (code, message) = (status.code(), status.message());
                if code == Code::Internal {
                    // What an Envoy says was not understood, and it will say it again.
                    tracing::warn!(message, "the stream of an envoy was ended");
                } else {
                    tracing::debug!(?code, message, "xds stream ended");
                }
                // The node may be gone; then nobody is left to be told.
                let _ = responses.send(Err(status)).await;
            }
        });
        ReceiverStream::new(received)
    }

    async fn run<S: StreamState>(
        mut self,
        mut requests: Streaming<S::Request>,
        responses: &mpsc::Sender<Result<S::Response, Status>>,
    ) -> Result<(), Status> {
        let Some(first) = requests.next().await.transpose()? else { return Ok(()) };
        let node = S::node(&first).cloned().unwrap_or_default();
        let version = EnvoyVersion::of_node(&node);
        let catalogue = Arc::clone(&self.catalogue.borrow_and_update());
        let choice = catalogue.gateway().upstream_tls;
        let capabilities = Capabilities::of(version, S::PROTOCOL, choice);
        announce(&node, version, capabilities);
        if let Err(refused) = choice.strategy(version, S::PROTOCOL) {
            tracing::error!(node = node.id, "{refused}");
        }
        let hosts = HostContexts::new(match capabilities.upstream_tls {
            UpstreamTlsStrategy::ContextPerHost => catalogue.gateway().host_contexts,
            UpstreamTlsStrategy::SniScopedSessions | UpstreamTlsStrategy::NoSessions => Limits::NONE,
        });
        let mut in_use = self.hosts_in_use.of_node(&node.id);
        let mut stream = Connected::<S> {
            state: S::default(),
            source: Source::new(snapshot(&catalogue, capabilities, &hosts)?, Arc::clone(&self.secrets)),
            catalogue,
            capabilities,
            secrets: Arc::clone(&self.secrets),
            hosts,
            node: self.registry.connect(NodeStatus::new(node.id, version, S::PROTOCOL, capabilities)),
            responses,
        };
        stream.on_request(first).await?;
        let on_demand = capabilities.leaf_delivery == LeafDelivery::OnDemand;
        let mut renewal = tokio::time::interval(self.secrets.renewal_interval());
        let mut step = tokio::time::interval(RENEWAL_STEP);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = self.secrets.events();
        loop {
            let expiry = stream.hosts.next_expiry();
            tokio::select! {
                request = requests.next() => match request.transpose()? {
                    Some(request) => stream.on_request(request).await?,
                    None => return Ok(()),
                },
                changed = self.catalogue.changed() => match changed {
                    Ok(()) => {
                        stream.catalogue = Arc::clone(&self.catalogue.borrow_and_update());
                        stream.refresh().await?;
                    }
                    Err(_) => return Ok(()),
                },
                host = in_use.recv() => match host {
                    Ok(host) => {
                        let mut changed = stream.hosts.used(&host, Instant::now());
                        // What has come by now is one change.
                        while let Ok(host) = in_use.try_recv() {
                            changed |= stream.hosts.used(&host, Instant::now());
                        }
                        if changed {
                            stream.refresh().await?;
                        }
                    }
                    // What was missed will be used again.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = until(expiry) => if stream.hosts.expire(Instant::now()) {
                    stream.refresh().await?;
                },
                event = events.recv() => match event {
                    Ok(SecretEvent::Withdrawn(name)) => if on_demand {
                        stream.withdraw(&name).await?;
                    },
                    Ok(SecretEvent::Renewal) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        stream.look_for_renewals(on_demand).await?;
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                _ = renewal.tick() => stream.look_for_renewals(on_demand).await?,
                _ = step.tick(), if stream.state.is_renewing() => stream.renew().await?,
            }
        }
    }
}

fn snapshot(
    catalogue: &Catalogue,
    capabilities: Capabilities,
    hosts: &HostContexts,
) -> Result<Arc<Snapshot>, Status> {
    catalogue.snapshot(capabilities, hosts).map_err(|error| {
        tracing::error!(%error, "the resources do not fit together; nothing is served");
        Status::internal(error.to_string())
    })
}

/// Waits until then; for ever without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

fn announce(node: &Node, version: Option<EnvoyVersion>, capabilities: Capabilities) {
    let strategy = capabilities.upstream_tls.as_str();
    match version {
        Some(version) => tracing::info!(node = node.id, %version, strategy, "envoy connected"),
        None => tracing::warn!(
            node = node.id,
            strategy,
            "envoy connected without a version that can be trusted; it gets what is right on every version"
        ),
    }
    if capabilities.upstream_tls == UpstreamTlsStrategy::NoSessions {
        tracing::warn!(
            node = node.id,
            "no TLS session of an upstream is resumed here: every new connection costs a full handshake"
        );
    }
    if capabilities.leaf_delivery == LeafDelivery::InAdvance {
        tracing::warn!(
            node = node.id,
            "certificates are made in advance here, for {LISTED} exact hosts of the policy at most: no host under a \
             wildcard can be reached over TLS, and a host outside the policy is refused at CONNECT"
        );
    }
}

/// One stream: its protocol state, and what it is served.
struct Connected<'a, S: StreamState> {
    state: S,
    source: Source,
    catalogue: Arc<Catalogue>,
    capabilities: Capabilities,
    secrets: Arc<dyn Secrets>,
    hosts: HostContexts,
    node: ConnectedNode,
    responses: &'a mpsc::Sender<Result<S::Response, Status>>,
}

impl<S: StreamState> Connected<'_, S> {
    async fn on_request(&mut self, request: S::Request) -> Result<(), Status> {
        let held = S::clusters_held(&request);
        if !held.is_empty() {
            self.hosts.adopt(held, Instant::now());
            self.rebuild();
        }
        let kind = S::kind(&request);
        let outcome = self.state.on_request(request, &self.source);
        let mut rejected = false;
        if let Some(acknowledgement) = outcome.acknowledgement {
            if let Some(rejection) = &acknowledgement.rejection {
                tracing::error!(kind = acknowledgement.kind.as_str(), rejection, "envoy rejected an update");
                rejected = matches!(acknowledgement.kind, ResourceType::Cluster | ResourceType::Route);
            }
            self.node.update(|status| status.acknowledged(acknowledgement));
        }
        self.send(outcome.response).await?;
        if let Some(kind) = kind {
            self.node.update(|status| status.subscribed(kind));
        }
        if rejected {
            self.hosts.rejected();
            self.refresh().await?;
        }
        self.proceed().await
    }

    /// Takes the hosts further that waited for what the node has accepted by now. All that is to be served has been
    /// sent at this point, so what is settled is accepted as it is now.
    async fn proceed(&mut self) -> Result<(), Status> {
        if self.node.is_settled(ResourceType::Cluster) && self.hosts.clusters_accepted() {
            self.refresh().await?;
        }
        if self.node.is_settled(ResourceType::Route) {
            self.hosts.table_accepted(Instant::now());
        }
        Ok(())
    }

    /// What does not fit together is never served: the node keeps what it has.
    fn rebuild(&mut self) {
        if let Ok(snapshot) = snapshot(&self.catalogue, self.capabilities, &self.hosts) {
            self.source = Source::new(snapshot, Arc::clone(&self.secrets));
        }
    }

    /// Serves what the catalogue and the hosts are now, in push order.
    async fn refresh(&mut self) -> Result<(), Status> {
        self.rebuild();
        for kind in ResourceType::OF_SNAPSHOT {
            let response = self.state.changes(kind, &self.source);
            self.send(response).await?;
        }
        Ok(())
    }

    async fn look_for_renewals(&mut self, on_demand: bool) -> Result<(), Status> {
        if on_demand {
            self.state.begin_renewals();
            return Ok(());
        }
        // What comes in advance is in use, and no handshake would ask for it again.
        let response = self.state.changes(ResourceType::Secret, &self.source);
        self.send(response).await
    }

    async fn renew(&mut self) -> Result<(), Status> {
        let response = self.state.renewals(&self.source);
        self.send(response).await
    }

    async fn withdraw(&mut self, name: &str) -> Result<(), Status> {
        let response = self.state.withdraw(name);
        self.send(response).await
    }

    async fn send(&self, response: Option<S::Response>) -> Result<(), Status> {
        let Some(response) = response else { return Ok(()) };
        let (kind, nonce) = S::header(&response);
        if let Some(kind) = kind {
            tracing::debug!(kind = kind.as_str(), nonce, "push");
            self.node.update(|status| status.sent(kind, nonce, S::resources(&response)));
        }
        self.responses.send(Ok(response)).await.map_err(|_| Status::cancelled("the node is gone"))
    }
}

/// What a stream sends.
pub type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for DiscoveryServer {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Ok(Response::new(Box::pin(self.serve::<StateOfTheWorldStream>(request.into_inner()))))
    }

    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Ok(Response::new(Box::pin(self.serve::<DeltaStream>(request.into_inner()))))
    }
}
