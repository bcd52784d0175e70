//! An Envoy without Weir: a static bootstrap with the one naive forward-proxy cluster that Weir exists to correct.
//!
//! This Envoy is the negative control. Its only difference from a right configuration is that the cluster has one TLS
//! context with the default session cache. A variant without sessions shows which of several possible server names
//! Envoy uses for an upstream.

use std::path::PathBuf;

use anyhow::Result;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Client, Deadline, EnvoyBinary, Process, Request, Response, UpstreamHosts};

/// The server name in the cluster of [`StaticEnvoy::start_named`]. It is no host's name.
pub const STATIC_SNI: &str = "static.weir.test";

/// A running Envoy that accepts requests on a Unix socket and forwards them over TLS to the host that the request
/// names.
#[derive(Debug)]
pub struct StaticEnvoy {
    process: Process,
    directory: TempDir,
}

/// One line of the Envoy's access log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// The request's `:authority`.
    pub authority: String,
    /// The status of the response.
    pub status: u16,
    /// The failure of the upstream's transport (`%UPSTREAM_TRANSPORT_FAILURE_REASON%`).
    pub failure: Option<String>,
}

impl StaticEnvoy {
    /// Starts Envoy with the hosts' name server and roots.
    pub fn start(envoy: &EnvoyBinary, hosts: &UpstreamHosts) -> Result<Self> {
        Self::start_with(envoy, hosts, bootstrap_of)
    }

    /// Starts an Envoy that keeps no TLS sessions and has [`STATIC_SNI`] in its cluster. It copies an upstream's
    /// names from the headers `x-sni` and `x-names` into filter state, as Weir's filter does.
    pub fn start_named(envoy: &EnvoyBinary, hosts: &UpstreamHosts) -> Result<Self> {
        Self::start_with(envoy, hosts, |hosts, listener| {
            let mut bootstrap = bootstrap_of(hosts, listener);
            let resources = &mut bootstrap["static_resources"];
            let tls = &mut resources["clusters"][0]["transport_socket"]["typed_config"];
            (tls["sni"], tls["max_session_keys"]) = (STATIC_SNI.into(), 0.into());
            let manager = &mut resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
            if let Some(filters) = manager["http_filters"].as_array_mut() {
                filters.insert(0, names_from_headers());
            }
            bootstrap
        })
    }

    fn start_with(
        envoy: &EnvoyBinary,
        hosts: &UpstreamHosts,
        bootstrap_of: impl FnOnce(&UpstreamHosts, &std::path::Path) -> Value,
    ) -> Result<Self> {
        let directory = TempDir::new()?;
        let bootstrap = directory.path().join("bootstrap.json");
        std::fs::write(&bootstrap, bootstrap_of(hosts, &directory.path().join("listener")).to_string())?;
        let process = Process::start(
            "envoy",
            Process::command(&envoy.path)
                .arg("--config-path")
                .arg(&bootstrap)
                .args(["--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "10"])
                .args(["--log-level", "warn"])
                .stdout(std::process::Stdio::piped()),
        )?;
        let mut envoy = Self { process, directory };
        envoy.wait_until_ready()?;
        Ok(envoy)
    }

    /// Sends GETs of `/` for this host and port, all with one curl.
    pub fn get(&self, host: &str, port: u16) -> Result<Response> {
        self.send(&Request::get(format!("http://{host}:{port}/")))
    }

    /// Sends a request to Envoy.
    pub fn send(&self, request: &Request) -> Result<Response> {
        Client::on_socket(&self.listener()).send(request)
    }

    /// Waits until `count` requests are in the access log and returns them.
    pub fn wait_forwarded(&self, count: usize) -> Result<Vec<Forwarded>> {
        self.process.stdout().wait(Deadline::seconds(20), "access log of Envoy", |lines| {
            let parsed: Vec<_> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (parsed.len() >= count).then_some(parsed)
        })
    }

    fn listener(&self) -> PathBuf {
        self.directory.path().join("listener")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let listener = self.listener();
        let process = &mut self.process;
        Deadline::seconds(30).poll("start of Envoy", || {
            if let Some(status) = process.ended()? {
                anyhow::bail!("Envoy ended with {status}:\n{}", process.stderr().text());
            }
            Ok(std::os::unix::net::UnixStream::connect(&listener).ok().map(drop))
        })
    }
}

impl Drop for StaticEnvoy {
    fn drop(&mut self) {
        // This Envoy has no state that would need a graceful end.
        self.process.signal(Signal::KILL).ok();
    }
}

fn names_from_headers() -> Value {
    let from_header = |key: &str, header: &str| {
        json!({
            "object_key": key,
            "format_string": {
                "text_format_source": {"inline_string": format!("%REQ({header})%")},
                "omit_empty_values": true,
            },
            "skip_if_empty": true,
        })
    };
    json!({"name": "names", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
        "on_request_headers": [
            from_header("envoy.network.upstream_server_name", "x-sni"),
            from_header("envoy.network.upstream_subject_alt_names", "x-names"),
        ],
    }})
}

fn bootstrap_of(hosts: &UpstreamHosts, listener: &std::path::Path) -> Value {
    let dns = hosts.dns.address();
    let dns_cache = json!({
        "name": "names",
        "dns_lookup_family": "V4_ONLY",
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [{"socket_address":
                    {"address": dns.ip().to_string(), "port_value": dns.port(), "protocol": "UDP"}}],
                "dns_resolver_options": {"no_default_search_domain": true},
            },
        },
    });
    let access_log = json!({
        "name": "stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": {
                "authority": "%REQ(:AUTHORITY)%",
                "status": "%RESPONSE_CODE%",
                "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
            }},
        },
    });
    let manager = json!({
        "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "naive",
        "access_log": [access_log],
        "route_config": {"virtual_hosts":
            [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "naive"}}]}]},
        "http_filters": [
            {"name": "forward", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
                "dns_cache_config": dns_cache,
            }},
            {"name": "router", "typed_config":
                {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    });
    let cluster = json!({
        "name": "naive",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
            "dns_cache_config": dns_cache,
        }},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "upstream_http_protocol_options": {"auto_sni": true, "auto_san_validation": true},
            "explicit_http_config": {"http_protocol_options": {}},
        }},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "tls_params":
                    {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
                "validation_context": {"trusted_ca": {"filename": hosts.roots()}},
            },
        }},
    });
    json!({
        "static_resources": {
            "listeners": [{
                "name": "naive",
                "address": {"pipe": {"path": listener}},
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }],
            "clusters": [cluster],
        },
    })
}
