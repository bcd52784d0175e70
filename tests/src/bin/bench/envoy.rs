//! An Envoy with a static configuration and one worker, and its processor time.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
use e2e::{Deadline, EnvoyBinary, Lines, Process};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running Envoy. Dropping it ends the process.
pub(crate) struct Envoy {
    process: Process,
    directory: TempDir,
}

impl Envoy {
    /// Starts Envoy. `bootstrap` gets the folder for its sockets and files.
    pub(crate) fn start(
        binary: &EnvoyBinary,
        bootstrap: impl FnOnce(&Path) -> Result<Value>,
    ) -> Result<Self> {
        let directory = TempDir::new()?;
        let file = directory.path().join("bootstrap.json");
        std::fs::write(&file, bootstrap(directory.path())?.to_string())?;
        let mut command = Process::command(&binary.path);
        command.arg("--config-path").arg(&file);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]);
        Ok(Self { process: Process::start("envoy", &mut command)?, directory })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Envoy's log.
    pub(crate) fn log(&self) -> &Lines {
        self.process.stderr()
    }

    /// Waits until `probe` finds something. If Envoy ends before that, the error holds its log.
    pub(crate) fn wait<T>(&mut self, what: &str, mut probe: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        Deadline::seconds(120).poll(what, || {
            if let Some(status) = self.process.ended()? {
                bail!("Envoy ended with {status}:\n{}", self.log().text());
            }
            Ok(probe(self))
        })
    }

    /// The processor time of all threads so far, in nanoseconds.
    pub(crate) fn processor_time(&self) -> Result<u64> {
        Ok(u64::try_from(self.process.id().cpu()?.as_nanos())?)
    }

    /// The resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.process.id().resident()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // This Envoy has no state that would need a graceful end.
        self.process.signal(Signal::KILL).ok();
    }
}

/// The configuration of a Wasm filter that is loaded from a file.
pub(crate) fn wasm_filter(module: &Path, configuration: &Value) -> Value {
    json!({
        "name": "wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "bench",
                "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}}},
                "configuration": configuration,
            },
        },
    })
}

/// A configuration message that consists of these bytes.
pub(crate) fn bytes_value(bytes: &[u8]) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": base64(bytes)})
}

/// The part of the HTTP connection manager in front of the router.
#[derive(Default)]
pub(crate) struct Manager {
    pub(crate) filters: Vec<Value>,
    /// Whether a header describes the connection to the filters, as in Weir's own listeners.
    pub(crate) tells_connection: bool,
}

/// A listener on the socket `listener` in the folder. It terminates TLS if the folder holds `server.crt` and
/// `server.key`. It answers the requests that its filters allow, or forwards them over TLS to `upstream`, whose root
/// is `upstream.crt` in the folder. Everything beside the filters is configured as in Weir.
pub(crate) fn answering(directory: &Path, manager: Manager, upstream: Option<SocketAddr>) -> Value {
    let Manager { filters, tells_connection } = manager;
    let router = json!({"name": "router", "typed_config":
        {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    let filters: Vec<Value> = filters.into_iter().chain([router]).collect();
    let route = match upstream {
        Some(_) => json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}),
        None => {
            json!({"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}})
        }
    };
    let mut manager = json!({
        "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
        "generate_request_id": false,
        "use_remote_address": true,
        "skip_xff_append": true,
        "normalize_path": true,
    });
    if tells_connection {
        manager["early_header_mutation_extensions"] = json!([{"name": "connection", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"append": {
                "header": {"key": "x-weir-connection", "value": "%FILTER_STATE(weir.connection:PLAIN)%"},
                "append_action": "APPEND_IF_EXISTS_OR_ADD",
            }}],
        }}]);
    }
    // This filter is configured as in Weir's listeners.
    let connection = json!({"name": "connection", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config",
        "on_new_connection": [{
            "object_key": "weir.connection",
            "factory_key": "envoy.string",
            "format_string": {
                "text_format_source": {"inline_string": "tls/%REQUESTED_SERVER_NAME%/"},
                "omit_empty_values": true,
            },
        }],
    }});
    let mut chain = json!({"filters": [connection, {"name": "http", "typed_config": manager}]});
    let certificate = directory.join("server.crt");
    if certificate.is_file() {
        chain["transport_socket"] = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [{
                "certificate_chain": {"filename": certificate},
                "private_key": {"filename": directory.join("server.key")},
            }]},
        }});
    }
    let clusters: Vec<Value> = upstream.iter().map(|address| cluster(directory, address)).collect();
    json!({"static_resources": {"clusters": clusters, "listeners": [{
        "name": "bench",
        "address": {"pipe": {"path": directory.join("listener")}},
        "listener_filters": [{"name": "tls_inspector", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
        "filter_chains": [chain],
    }]}})
}

/// A cluster of one address. It sends and verifies the authority as server name, unless a filter sets another name.
fn cluster(directory: &Path, address: &SocketAddr) -> Value {
    json!({
        "name": "upstream",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
            {"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}}}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "upstream_http_protocol_options": {"auto_sni": true, "auto_san_validation": true},
            "explicit_http_config": {"http_protocol_options": {}},
        }},
        "transport_socket": {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
                "validation_context": {"trusted_ca": {"filename": directory.join("upstream.crt")}},
            },
        }},
    })
}

/// Encodes bytes in base64, as protobuf's JSON form requires.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = group
            .iter()
            .chain([0; 2].iter())
            .take(3)
            .fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 0x3f) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
