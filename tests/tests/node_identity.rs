//! A node's identity comes from its connection, and not from its own description.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, HttpVersion, Request, Run, ServerOptions, UpstreamHosts,
};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, HttpAccessLogEntry, HttpResponseProperties,
};
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_client::AccessLogServiceClient;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    HttpAccessLogEntries, Identifier, LogEntries,
};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::protobuf::BytesValue;
use envoy_types::util::pack_any;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use weir::envoy::capabilities::UpstreamTlsChoice;

use crate::served_envoy::{NODE, Options, ServedEnvoy};

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const HTTPS_CLUSTER: &str = "dynamic_forward_proxy_cluster_https";
const LIMIT: Duration = Duration::from_secs(30);
/// A user that owns nothing on this machine.
const STRANGER: u32 = 12_345;

/// A process that claims the id of the real Envoy.
struct Pretender {
    channel: Channel,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    /// The clusters that the control plane sent it.
    clusters: Vec<String>,
}

fn claimed() -> Node {
    Node { id: NODE.to_owned(), ..Node::default() }
}

async fn connect(socket: &Path) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("unix://{}", socket.display()))?.connect().await?)
}

/// Subscribes to clusters.
async fn subscribe(
    channel: Channel,
) -> Result<(mpsc::Sender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>)> {
    let (requests, received) = mpsc::channel(16);
    let first = DeltaDiscoveryRequest {
        node: Some(claimed()),
        type_url: CLUSTER.to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(first).await?;
    let mut client = AggregatedDiscoveryServiceClient::new(channel);
    let responses = client.delta_aggregated_resources(ReceiverStream::new(received)).await?.into_inner();
    Ok((requests, responses))
}

impl Pretender {
    async fn connect(served: &ServedEnvoy) -> Result<Self> {
        let channel = connect(&served.socket()).await?;
        let (requests, responses) = subscribe(channel.clone()).await?;
        let mut pretender = Self { channel, requests, responses, clusters: Vec::new() };
        pretender.receive().await?;
        Ok(pretender)
    }

    /// Receives and acknowledges the next response.
    async fn receive(&mut self) -> Result<()> {
        let response = tokio::time::timeout(LIMIT, self.responses.message()).await??;
        let response = response.context("the stream ended")?;
        ensure!(response.type_url == CLUSTER, "{}", response.type_url);
        self.clusters.extend(response.resources.into_iter().map(|resource| resource.name));
        let acknowledgement = DeltaDiscoveryRequest {
            type_url: CLUSTER.to_owned(),
            response_nonce: response.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(acknowledgement).await?)
    }

    /// Claims in an access log that a request to this host was answered.
    async fn report_use(&self, host: &str) -> Result<()> {
        let record = format!(
            r#"{{"effect":"allow","reason":"allowed","rule":"r","decision_id":"{host}","policy_version":"1","host":"{host}","port":443,"scheme":"https","method":"GET","path":"/"}}"#
        );
        let record = pack_any(BytesValue { value: record.into_bytes() });
        let entry = HttpAccessLogEntry {
            common_properties: Some(AccessLogCommon {
                filter_state_objects: [("wasm.weir".to_owned(), record)].into(),
                upstream_cluster: HTTPS_CLUSTER.to_owned(),
                ..AccessLogCommon::default()
            }),
            response: Some(HttpResponseProperties {
                response_code_details: "via_upstream".to_owned(),
                ..HttpResponseProperties::default()
            }),
            ..HttpAccessLogEntry::default()
        };
        let message = StreamAccessLogsMessage {
            identifier: Some(Identifier { node: Some(claimed()), log_name: "weir_intercept".to_owned() }),
            log_entries: Some(LogEntries::HttpLogs(HttpAccessLogEntries { log_entry: vec![entry] })),
        };
        let mut client = AccessLogServiceClient::new(self.channel.clone());
        client.stream_access_logs(tokio_stream::once(message)).await?;
        Ok(())
    }
}

fn own_cluster(host: &str) -> String {
    format!("{HTTPS_CLUSTER}/{host}")
}

fn a_peer_that_claims_anothers_id_gets_and_changes_nothing_of_it(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let options = Options { upstream_tls: UpstreamTlsChoice::ContextPerHost, ..Options::new(&hosts)? };
    let mut served = ServedEnvoy::start(envoy, &hosts, options)?;
    served.wait_until_ready()?;
    let client = served.client();
    let runtime = Runtime::new()?;
    let mut pretender = runtime.block_on(Pretender::connect(&served))?;

    // The real Envoy uses alpha, and gets a cluster for alpha.
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 200);
    let has_cluster =
        |served: &ServedEnvoy, host: &str| Ok(served.admin("clusters")?.contains(&own_cluster(host)));
    Deadline::seconds(30).poll_eq("Envoy's cluster of alpha", &true, || has_cluster(&served, ALPHA))?;
    // The pretender reports that it uses beta, and gets a cluster for beta only.
    runtime.block_on(async {
        pretender.report_use(BETA).await?;
        while !pretender.clusters.contains(&own_cluster(BETA)) {
            pretender.receive().await?;
        }
        anyhow::Ok(())
    })?;
    assert!(!pretender.clusters.contains(&own_cluster(ALPHA)), "{:?}", pretender.clusters);
    // The change of the policy follows everything that was on its way to the real Envoy.
    served.replace_policy(&hosts.policy().replace(ALPHA, "elsewhere.weir.test"))?;
    Deadline::seconds(30).poll("the denial of alpha", || {
        let response = client.get(hosts.url(ALPHA, "/"))?;
        let denied = response.header("x-weir-decision").map(str::to_owned);
        Ok((denied.is_some() || response.connect_status == 403).then_some(()))
    })?;
    assert!(!has_cluster(&served, BETA)?, "Envoy got the cluster of a host that only the pretender used");
    Ok(())
}

fn a_peer_of_another_user_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut served = ServedEnvoy::start(envoy, &hosts, Options::new(&hosts)?)?;
    served.wait_until_ready()?;
    // The socket's mode excludes other users as well. Without that mode, only the check of the peer's user decides.
    let socket = served.socket();
    std::fs::set_permissions(socket.parent().context("no folder")?, std::fs::Permissions::from_mode(0o755))?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666))?;
    // This is an HTTP/2 request without gRPC, which the server answers.
    let request = Request { version: HttpVersion::Http2Only, ..Request::get("http://weir/nothing") };
    let ours = Client::on_socket(&socket).send(&request)?;
    assert_eq!(ours.status, 200, "{ours:#?}");
    let theirs = Client::on_socket(&socket).of_user(STRANGER).send(&request)?;
    assert_eq!(theirs.status, 0, "{theirs:#?}");
    Ok(())
}

/// The peer subscribes, and never answers.
fn a_silent_peer_delays_no_word_of_an_edit(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let folder = std::fs::read_dir(gateway.run().runtime())?.next().context("no folder")??;
    let runtime = Runtime::new()?;
    let socket = folder.path().join("xds.sock");
    let (_requests, mut responses) = runtime.block_on(async { subscribe(connect(&socket).await?).await })?;
    let response = runtime.block_on(async { tokio::time::timeout(LIMIT, responses.message()).await })??;
    ensure!(response.is_some(), "the peer is not served");
    gateway.run().write_policy(&hosts.policy().replace(BETA, "elsewhere.weir.test"))?;
    Deadline::seconds(15).poll("word of the edit", || {
        Ok(gateway.stderr().lines().any(|line| line.contains("the policy changed version=")).then_some(()))
    })?;
    assert!(!gateway.stderr().contains("has not accepted it yet"), "{}", gateway.stderr());
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_silent_peer_delays_no_word_of_an_edit,
    a_peer_that_claims_anothers_id_gets_and_changes_nothing_of_it,
    a_peer_of_another_user_is_refused
);
