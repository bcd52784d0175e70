//! One decision: the filter's record, and Envoy's observations of the request.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use envoy_types::pb::envoy::config::core::v3::{Address, address, socket_address};
use envoy_types::pb::envoy::data::accesslog::v3::{AccessLogCommon, AccessLogType, HttpAccessLogEntry};
use envoy_types::pb::google::protobuf::{Any, BytesValue, StringValue};
use prost::Message;
use serde::Serialize;
use weir_contract::record::DecisionRecord;
use weir_policy::{Effect, Host, Reason, Scheme};

use crate::decision_log::invalid_request::InvalidRequest;
use crate::decision_log::upstream_failure::UpstreamFailure;
use crate::envoy::resources::names;
use crate::nodes::identity::NodeIdentity;

/// The maximum number of names shown from a certificate, which may have thousands.
pub(crate) const MOST_NAMES: usize = 16;
/// The maximum length, in characters, of a host or path that the filter has not shortened because it has not seen it.
const LONGEST_TEXT: usize = 256;

/// The state of a request that a line describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The request was forwarded and has not ended. Another line follows at its end, unless Weir ends before.
    Open,
    /// The request has ended.
    End,
}

/// A line of the decision log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedDecision {
    /// The node that decided. Lines leave it out: the control plane that prints them has one node.
    #[serde(skip)]
    pub node: NodeIdentity,
    /// The time at which the request arrived, in milliseconds since 1970.
    pub time: u64,
    /// The request's state.
    pub phase: Phase,
    /// The filter's record. If Envoy refused the request after the filter had allowed it, effect and reason are
    /// Envoy's.
    #[serde(flatten)]
    pub record: DecisionRecord,
    /// The listener whose filter judged the request: `weir_explicit`, `weir_intercept` (inside a CONNECT),
    /// `weir_transparent`, or `weir_passthrough` (a passed-through connection).
    pub listener: String,
    /// The client's address and port.
    pub client: Option<String>,
    /// The status that the client got, or 0 if it disconnected before.
    pub status: u32,
    /// How often Envoy sent the request to its upstream.
    pub attempts: u32,
    /// The address that Envoy forwarded the request to.
    pub upstream_address: Option<String>,
    /// The DNS names in the upstream's certificate, as Envoy read them: at most [`MOST_NAMES`], and first those that
    /// cover the host. Envoy before 1.37 does not report them; the list then has the verified name, or is empty if the
    /// rule has its own upstream.
    pub upstream_names: Vec<String>,
    /// The upstream's TLS version, such as `TLSv1.3`. Envoy before 1.37 does not report it.
    pub upstream_tls: Option<String>,
    /// Envoy's details of the response, such as `via_upstream`.
    pub details: String,
    /// The reason why the upstream gave no complete answer, in plain words.
    pub cause: Option<&'static str>,
    /// The reason why the connection to the upstream failed, in Envoy's words.
    pub failure: Option<String>,
}

impl LoggedDecision {
    /// Reads an access log entry. Returns `None` for an entry that is not a decision: an admitted tunnel (the requests
    /// inside it have their own entries), bytes that never became a request, and a request that is open and was not
    /// forwarded.
    ///
    /// `let_out` becomes whether the entry is the last one of a request or tunnel that the filter allowed.
    pub(super) fn read(
        node: &NodeIdentity,
        listener: &str,
        entry: &HttpAccessLogEntry,
        let_out: &mut bool,
    ) -> Option<Self> {
        let common = entry.common_properties.as_ref()?;
        let response = entry.response.as_ref();
        let details = response.map(|response| response.response_code_details.clone()).unwrap_or_default();
        let status = response.and_then(|response| response.response_code).map_or(0, |code| code.value);
        let phase = phase(common);
        let ended = || (phase == Phase::End).then(|| unrecorded(entry, status, &details)).flatten();
        let mut record = record(common).or_else(ended)?;
        if phase == Phase::Open && record.effect != Effect::Allow {
            return None;
        }
        *let_out = phase == Phase::End && record.effect == Effect::Allow;
        let is_tunnel = record.method == "CONNECT" && listener != names::PASSTHROUGH_LISTENER;
        if is_tunnel && record.effect == Effect::Allow {
            return None;
        }
        let transport = &common.upstream_transport_failure_reason;
        let mut cause = None;
        if record.effect == Effect::Allow {
            let flags = common.response_flags.unwrap_or_default();
            if details.starts_with(names::RBAC_DENIED) {
                record.effect = Effect::Deny.into();
                record.would_deny = false;
                record.reason = Reason::AddressNotAllowed.into();
            } else if let Some(failure) = UpstreamFailure::find(&flags, &details, transport)
                // The end of such a stream is that of its connections.
                .filter(|failure| {
                    failure.reason != Reason::UpstreamUnreachable || !is_open_stream(&record, status)
                })
            {
                record.reason = failure.reason.into();
                cause = Some(failure.cause);
            } else if let Some(request) = InvalidRequest::find(&details) {
                // The request became invalid after its headers.
                record.reason = request.reason.into();
            }
        }
        record.sni = server_name(&record);
        Some(Self {
            node: node.clone(),
            time: milliseconds(common),
            phase,
            listener: listener.to_owned(),
            client: common.downstream_remote_address.as_ref().and_then(socket),
            status,
            attempts: common.upstream_request_attempt_count,
            upstream_address: common.upstream_remote_address.as_ref().and_then(socket),
            upstream_names: upstream_names(common, &record, &details),
            upstream_tls: tag(common, names::PEER_TLS).map(str::to_owned),
            details,
            cause,
            failure: Some(transport.clone()).filter(|text| !text.is_empty()),
            record,
        })
    }
}

/// Returns whether client and upstream exchanged bytes of a protocol of their own: after an upgrade (a WebSocket), or
/// over a passed-through TLS connection.
fn is_open_stream(record: &DecisionRecord, status: u32) -> bool {
    status == 101 || (record.method == "CONNECT" && status == 200)
}

fn phase(common: &AccessLogCommon) -> Phase {
    if common.access_log_type == AccessLogType::DownstreamPeriodic as i32 { Phase::Open } else { Phase::End }
}

/// Returns the TLS server name that Envoy sends to the upstream of an allowed request. The filter records the name for
/// a rule's own upstream. For any other host Envoy sends the canonical host (`auto_sni`), and the server name of a
/// passed-through connection is its host. Envoy sends no server name for an IP address.
fn server_name(record: &DecisionRecord) -> Option<String> {
    if record.effect != Effect::Allow || record.scheme != Scheme::Https.as_str() {
        return None;
    }
    let is_name = |host: &str| Host::parse(host.as_bytes()).is_ok_and(|host| !host.is_address());
    match (&record.sni, &record.upstream) {
        (Some(sni), _) => Some(sni.clone()),
        // A filter that records no server name.
        (None, Some(_)) => None,
        (None, None) => Some(record.host.clone()).filter(|host| is_name(host)),
    }
}

fn upstream_names(common: &AccessLogCommon, record: &DecisionRecord, details: &str) -> Vec<String> {
    if let Some(names) = tag(common, names::PEER_NAMES) {
        let mut names: Vec<_> = names.split(',').map(str::to_owned).collect();
        names.sort_by_key(|name| !covers(name, &record.host));
        names.truncate(MOST_NAMES);
        return names;
    }
    // Envoy verifies the certificate before it sends a byte of the request, and otherwise answers itself. The names of
    // a rule's own upstream are not in the record.
    let verified = record.scheme == "https" && details == "via_upstream" && record.upstream.is_none();
    if verified { vec![record.host.clone()] } else { Vec::new() }
}

/// Returns whether a certificate's name covers the host (RFC 9525, section 6.3).
fn covers(name: &str, host: &str) -> bool {
    let below = || name.strip_prefix("*.").zip(host.split_once('.'));
    name.eq_ignore_ascii_case(host)
        || below().is_some_and(|(name, (_, rest))| name.eq_ignore_ascii_case(rest))
}

fn tag<'a>(common: &'a AccessLogCommon, name: &str) -> Option<&'a str> {
    common.custom_tags.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn record(common: &AccessLogCommon) -> Option<DecisionRecord> {
    let bytes = text_of(common.filter_state_objects.get(weir_contract::filter_state::RECORD)?)?;
    DecisionRecord::decode(&bytes).inspect_err(|error| tracing::warn!("{error}")).ok()
}

/// Unwraps a Wasm property. It is a string or bytes, depending on the type that the filter declared for it.
fn text_of(any: &Any) -> Option<Vec<u8>> {
    let name = any.type_url.rsplit('/').next()?;
    match name {
        "google.protobuf.BytesValue" => Some(BytesValue::decode(any.value.as_slice()).ok()?.value),
        "google.protobuf.StringValue" => {
            Some(StringValue::decode(any.value.as_slice()).ok()?.value.into_bytes())
        }
        _ => None,
    }
}

/// Makes the record of a request that has none from the filter: Envoy refused it before the filter, or the filter
/// failed.
fn unrecorded(entry: &HttpAccessLogEntry, status: u32, details: &str) -> Option<DecisionRecord> {
    let request = entry.request.as_ref()?;
    let reason = if details.contains(names::POLICY_MISSING) {
        Reason::PolicyMissing
    } else if details == names::HTTPS_IN_THE_CLEAR {
        Reason::SchemeNotAllowed
    } else if details == names::OVERLOADED {
        Reason::Overloaded
    } else if let Some(request) = InvalidRequest::find(details) {
        request.reason
    } else if status == 503 || status == 500 || (status >= 400 && details.is_empty()) {
        // Envoy's details name each of its own refusals. A response without details is a denial by the filter whose
        // record is missing.
        Reason::FilterFailure
    } else if (400..500).contains(&status) {
        // Envoy refused the request before the filter, so the request itself is the cause.
        Reason::MalformedRequest
    } else {
        return None;
    };
    let cut = |text: &str| text.chars().take(LONGEST_TEXT).collect();
    Some(DecisionRecord {
        effect: Effect::Deny.into(),
        reason: reason.into(),
        host: cut(&request.authority),
        scheme: cut(&request.scheme),
        path: cut(request.path.split('?').next().unwrap_or_default()),
        ..DecisionRecord::default()
    })
}

pub(super) fn milliseconds(common: &AccessLogCommon) -> u64 {
    let start = common.start_time.as_ref().and_then(|start| {
        let seconds = Duration::from_secs(u64::try_from(start.seconds).ok()?);
        Some(seconds + Duration::from_nanos(u64::try_from(start.nanos).ok()?))
    });
    let since_1970 = start.or_else(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok());
    u64::try_from(since_1970.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn socket(address: &Address) -> Option<String> {
    let Some(address::Address::SocketAddress(socket)) = &address.address else { return None };
    let Some(socket_address::PortSpecifier::PortValue(port)) = &socket.port_specifier else { return None };
    let ip: IpAddr = socket.address.parse().ok()?;
    Some(std::net::SocketAddr::new(ip, u16::try_from(*port).ok()?).to_string())
}

#[cfg(test)]
pub(crate) mod tests;
