//! The access log service (ALS) that Envoy sends its entries to.

use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{StreamAccessLogsMessage, StreamAccessLogsResponse};
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::Decision;
use super::hosts_in_use::HostsInUse;

/// Decisions that a slow reader may be behind before it misses some.
const PENDING_DECISIONS: usize = 4096;

/// Collects decisions and hands them to whoever listens.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    decisions: broadcast::Sender<Decision>,
    hosts_in_use: HostsInUse,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self { decisions: broadcast::channel(PENDING_DECISIONS).0, hosts_in_use: HostsInUse::default() }
    }
}

impl DecisionLog {
    /// Follows the decisions from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Decision> {
        self.decisions.subscribe()
    }

    /// The hosts that the nodes go to.
    pub fn hosts_in_use(&self) -> &HostsInUse {
        &self.hosts_in_use
    }

    /// As a gRPC service.
    pub fn into_service(self) -> AccessLogServiceServer<Self> {
        AccessLogServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl AccessLogService for DecisionLog {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let mut messages = request.into_inner();
        let (mut node, mut listener) = (String::new(), String::new());
        while let Some(message) = messages.next().await.transpose()? {
            // Only the first message of a stream says whose it is.
            if let Some(identifier) = message.identifier {
                listener = identifier.log_name;
                node = identifier.node.map(|node| node.id).unwrap_or_default();
            }
            let Some(LogEntries::HttpLogs(entries)) = message.log_entries else { continue };
            for entry in &entries.log_entry {
                let Some(decision) = Decision::of_entry(&listener, entry) else { continue };
                self.hosts_in_use.note(&node, entry, &decision);
                // Nobody listening is no failure.
                let _ = self.decisions.send(decision);
            }
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}
