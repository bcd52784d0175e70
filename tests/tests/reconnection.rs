//! A node with thousands of leaves that connects to a control plane without its state. The control plane signs at a
//! bounded rate, names in use first, and a handshake waits for none of the other leaves.
//! The node is a client of this test, because an Envoy does not report when it received a resource.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Node};
use envoy_types::pb::envoy::data::accesslog::v3::{AccessLogCommon, HttpAccessLogEntry};
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_client::AccessLogServiceClient;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    HttpAccessLogEntries, LogEntries,
};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::protobuf::{BytesValue, Struct, Value, value};
use envoy_types::util::pack_any;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use weir::address::own::OwnAddresses;
use weir::ca::leaves::{LeafLimits, Limit};
use weir::ca::{Ca, Lifetimes};
use weir::control_plane::ControlPlane;
use weir::envoy::capabilities::UpstreamTlsChoice;
use weir::envoy::capacity::Capacity;
use weir::envoy::filter_module::FilterModules;
use weir::envoy::gateway::{Deployment, Gateway, GatewayPolicy, NodeSettings};
use weir::envoy::resources::timeouts::Timeouts;
use weir::folder::state::StateFolder;
use weir::input::upstream_files::UpstreamFiles;
use weir::nodes::host_contexts;
use weir::nodes::server::BeforeListeners;

const HELD: usize = 3_000;
/// The number of leaves that are signed each second while no handshake waits; a tenth of it at once.
const RATE: u32 = 1_000;
/// The last names, in every other position.
const IN_USE: std::ops::Range<usize> = HELD - 20..HELD;
/// The longest wait of a client.
const ASKED: &str = "zz-new.held.weir.test";
/// The time limit for a response.
const LIMIT: Duration = Duration::from_secs(30);

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

fn held(number: usize) -> String {
    format!("n{number:04}.held.weir.test")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_returning_node_holds_is_signed_at_a_bounded_rate_names_in_use_first_and_asks_do_not_wait()
-> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let control_plane = control_plane(folder.path())?;
    let socket = folder.path().join("xds.sock");
    let serving = tokio::spawn(control_plane.serve(UnixListener::bind(&socket)?, BeforeListeners::nothing()));
    let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))?.connect().await?;

    let started = Instant::now();
    let mut node = ReturningNode::connect(channel.clone()).await?;
    let first = node.receive().await?;
    report_use(channel, IN_USE.map(held)).await?;
    node.ask(ASKED).await?;
    let mut order: Vec<String> = first;
    while order.len() <= HELD {
        order.extend(node.receive().await?);
    }
    let took = started.elapsed();

    let at: HashMap<&str, usize> = order.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    assert_eq!(at.len(), HELD + 1, "each name comes once");
    let at = |name: &str| at.get(name).copied().with_context(|| format!("no secret for {name}"));
    let at_once = RATE / 10;
    let least = Duration::from_secs(1) * (u32::try_from(HELD)? - at_once) / RATE;
    assert!(took >= least, "{HELD} leaves within {took:?}, which {RATE} a second forbid");
    assert!(at(ASKED)? < HELD / 2, "the name that was asked for came as number {}", at(ASKED)?);
    for name in IN_USE.map(held) {
        assert!(at(&name)? < HELD / 2, "{name}, which is in use, came as number {}", at(&name)?);
    }
    ensure!(!serving.is_finished(), "the control plane ended");
    Ok(())
}

/// Starts a control plane without state, with room for the leaves that the node holds.
fn control_plane(folder: &Path) -> Result<ControlPlane> {
    let policy = "rules: [{id: held, effect: allow, hosts: ['*.held.weir.test']}]";
    let policy = weir_policy::compile(policy).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let files = UpstreamFiles::read(&policy, folder).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let policy = GatewayPolicy { rules: Arc::new(policy), upstream_files: Arc::new(files), rego: None };
    let unloaded = b"never loaded".as_slice();
    let deployment = Deployment {
        filter: FilterModules { without_rego: unloaded.into(), with_rego: unloaded.into() },
        upstream_roots: "roots".into(),
        upstream_tls: UpstreamTlsChoice::Auto,
        host_contexts: host_contexts::ContextLimits::DEFAULT,
        timeouts: Timeouts::DEFAULT,
    };
    let node = NodeSettings {
        listen: "127.0.0.1:15001".parse()?,
        transparent: Vec::new(),
        proxy_credentials: None,
        resolver: None,
        own_addresses: OwnAddresses::default(),
        capacity: Capacity::FULL,
    };
    let (policy, deployment, node) = (Arc::new(policy), Arc::new(deployment), Arc::new(node));
    let gateway = Gateway { policy, deployment, node };
    let state = StateFolder::open(&folder.join("state"))?;
    let ca = Ca::open(&state, Lifetimes::default(), SystemTime::now())?;
    let limits = LeafLimits {
        listed: Limit { live: HELD + 1, replaced_per_second: 1 },
        renewed_per_second: RATE,
        ..LeafLimits::default()
    };
    Ok(ControlPlane::with_limits(gateway, Arc::new(ca), limits))
}

/// Connects a node that reports a leaf of each name.
struct ReturningNode {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl ReturningNode {
    async fn connect(channel: Channel) -> Result<Self> {
        let (requests, received) = mpsc::channel(16);
        let names: Vec<String> = (0..HELD).map(held).collect();
        requests
            .send(DeltaDiscoveryRequest {
                node: Some(newest()),
                type_url: SECRET.to_owned(),
                initial_resource_versions: names
                    .iter()
                    .map(|name| (name.clone(), "old".to_owned()))
                    .collect(),
                resource_names_subscribe: names,
                ..DeltaDiscoveryRequest::default()
            })
            .await?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.delta_aggregated_resources(ReceiverStream::new(received)).await?.into_inner();
        Ok(Self { requests, responses })
    }

    async fn ask(&self, name: &str) -> Result<()> {
        let request = DeltaDiscoveryRequest {
            type_url: SECRET.to_owned(),
            resource_names_subscribe: vec![name.to_owned()],
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(request).await?)
    }

    /// Acknowledges the next response, and returns the names of its secrets.
    async fn receive(&mut self) -> Result<Vec<String>> {
        let response = tokio::time::timeout(LIMIT, self.responses.message()).await??;
        let response = response.context("the stream ended")?;
        ensure!(response.removed_resources.is_empty(), "withdrawn: {:?}", response.removed_resources);
        let acknowledgement = DeltaDiscoveryRequest {
            type_url: SECRET.to_owned(),
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(acknowledgement).await?;
        Ok(response.resources.into_iter().map(|resource| resource.name).collect())
    }
}

/// The description that an Envoy 1.40.0 sends of itself.
fn newest() -> Node {
    let clean = Value { kind: Some(value::Kind::StringValue("Clean".to_owned())) };
    let build = BuildVersion {
        version: Some(SemanticVersion { major_number: 1, minor_number: 40, patch: 0 }),
        metadata: Some(Struct { fields: [("revision.status".to_owned(), clean)].into() }),
    };
    Node {
        id: "returning".to_owned(),
        user_agent_name: "envoy".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(build)),
        ..Node::default()
    }
}

/// Reports a request to each name, as Envoy's access log does.
async fn report_use(channel: Channel, names: impl Iterator<Item = String>) -> Result<()> {
    let entry = |name: String| {
        let record = serde_json::json!({
            "effect": "allow", "reason": "allowed", "rule": "held", "decision_id": "1", "policy_version": "1",
            "host": name, "port": 443, "scheme": "https", "method": "GET", "path": "/",
        });
        let record = pack_any(BytesValue { value: record.to_string().into_bytes() });
        let common = AccessLogCommon {
            filter_state_objects: [("wasm.weir".to_owned(), record)].into(),
            ..AccessLogCommon::default()
        };
        HttpAccessLogEntry { common_properties: Some(common), ..HttpAccessLogEntry::default() }
    };
    let entries = HttpAccessLogEntries { log_entry: names.map(entry).collect() };
    let message = StreamAccessLogsMessage {
        log_entries: Some(LogEntries::HttpLogs(entries)),
        ..StreamAccessLogsMessage::default()
    };
    AccessLogServiceClient::new(channel).stream_access_logs(tokio_stream::once(message)).await?;
    Ok(())
}
