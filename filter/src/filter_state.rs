//! Envoy's own filter states, which a request's filters set and its upstream connection reads.

use crate::hostcalls::{FailedCall, Hostcalls};

/// The upstream connection's TLS server name; also a part of the key under which Envoy pools connections.
const SERVER_NAME: &str = "envoy.network.upstream_server_name";
/// Subject names of which the upstream's certificate must have one; Envoy splits the value on commas.
const SUBJECT_NAMES: &str = "envoy.network.upstream_subject_alt_names";

/// The host to connect to, in place of the authority's.
const DYNAMIC_HOST: &str = "envoy.upstream.dynamic_host";
/// The port to connect to, in place of the authority's.
const DYNAMIC_PORT: &str = "envoy.upstream.dynamic_port";

/// Sets the server name of the request's upstream connection.
pub fn set_server_name(host: &impl Hostcalls, name: &str) -> Result<(), FailedCall> {
    host.set_filter_state(SERVER_NAME, name.as_bytes())
}

/// Sets the names to verify on the request's upstream connection, separated by commas.
pub fn set_subject_names(host: &impl Hostcalls, names: &str) -> Result<(), FailedCall> {
    host.set_filter_state(SUBJECT_NAMES, names.as_bytes())
}

/// Sets the host and the port of the request's upstream connection. The authority stays unchanged.
pub fn set_address(host: &impl Hostcalls, name: &str, port: u16) -> Result<(), FailedCall> {
    host.set_filter_state(DYNAMIC_HOST, name.as_bytes())?;
    host.set_filter_state(DYNAMIC_PORT, port.to_string().as_bytes())
}
