//! The access log service (ALS), to which Envoy sends its entries.

use std::sync::{Arc, OnceLock};

use envoy_types::pb::envoy::data::accesslog::v3::{HttpAccessLogEntry, TcpAccessLogEntry};
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{StreamAccessLogsMessage, StreamAccessLogsResponse};
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::account::Account;
use super::certificate_refusals::CertificateRefusals;
use super::hosts_in_use::HostsInUse;
use super::lines::{self, LineSender, Lines};
use super::refused_certificate::RefusedCertificate;
use super::{Arrived, LoggedDecision};
use crate::nodes::identity::NodeIdentity;

/// The maximum number of decisions in a slow subscriber's queue. It misses further ones.
const PENDING_DECISIONS: usize = 4096;
/// The maximum size of a message. Envoy sends its whole buffer in one (`resources/decision_log.rs`): at most 16 MiB and
/// an entry.
const LONGEST_MESSAGE: usize = 32 << 20;

/// Collects decisions and sends them to subscribers and to the reader of the lines.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    decisions: broadcast::Sender<LoggedDecision>,
    lines: Arc<OnceLock<LineSender>>,
    account: Arc<Account>,
    hosts_in_use: HostsInUse,
    certificate_refusals: Arc<CertificateRefusals>,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self {
            decisions: broadcast::channel(PENDING_DECISIONS).0,
            lines: Arc::default(),
            account: Arc::default(),
            hosts_in_use: HostsInUse::default(),
            certificate_refusals: Arc::default(),
        }
    }
}

impl DecisionLog {
    /// Subscribes to the decisions from now on. A slow subscriber misses some.
    pub fn subscribe(&self) -> broadcast::Receiver<LoggedDecision> {
        self.decisions.subscribe()
    }

    /// Takes the reader of every line from now on. Returns `None` if it has been taken. It must be called within a
    /// runtime.
    pub fn lines(&self) -> Option<Lines> {
        let (sender, lines) = lines::lines();
        self.lines.set(sender).ok().map(|()| lines)
    }

    /// Returns the counts of entries so far.
    pub fn arrived(&self) -> Arrived {
        self.account.arrived()
    }

    /// Returns the hosts that the nodes use.
    pub fn hosts_in_use(&self) -> &HostsInUse {
        &self.hosts_in_use
    }

    /// Returns the certificates that clients refused.
    pub fn certificate_refusals(&self) -> Arc<CertificateRefusals> {
        Arc::clone(&self.certificate_refusals)
    }

    /// Wraps the log as a gRPC service.
    pub fn into_service(self) -> AccessLogServiceServer<Self> {
        AccessLogServiceServer::new(self).max_decoding_message_size(LONGEST_MESSAGE)
    }

    async fn take(&self, node: &NodeIdentity, listener: &str, entry: &HttpAccessLogEntry) {
        let mut let_out = false;
        let Some(decision) = LoggedDecision::read(node, listener, entry, &mut let_out) else {
            self.account.entry(let_out);
            return;
        };
        if !self.account.decision(&decision.record.decision_id, decision.phase, let_out) {
            return;
        }
        self.hosts_in_use.note(entry, &decision);
        self.certificate_refusals.note(&decision);
        // A channel without receivers is not an error.
        let _ = self.decisions.send(decision.clone());
        if let Some(lines) = self.lines.get() {
            lines.send(decision).await;
        }
    }

    /// Takes the entry of a connection without a request, which is no decision.
    fn take_connection(&self, entry: &TcpAccessLogEntry) {
        self.account.entry(false);
        if let Some(refused) = RefusedCertificate::from_entry(entry) {
            self.certificate_refusals.add(refused);
        }
    }
}

#[tonic::async_trait]
impl AccessLogService for DecisionLog {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let node = NodeIdentity::from_request(&request)?;
        let mut messages = request.into_inner();
        let mut listener = String::new();
        while let Some(message) = messages.next().await.transpose()? {
            // Only the first message of a stream has an identifier. The node that it names is a label.
            if let Some(identifier) = message.identifier {
                listener = identifier.log_name;
            }
            match message.log_entries {
                Some(LogEntries::HttpLogs(entries)) => {
                    for entry in &entries.log_entry {
                        self.take(&node, &listener, entry).await;
                    }
                }
                Some(LogEntries::TcpLogs(entries)) => {
                    for entry in &entries.log_entry {
                        self.take_connection(entry);
                    }
                }
                None => {}
            }
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}
