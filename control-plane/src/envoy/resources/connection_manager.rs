//! The HTTP connection manager of each listener, and its HTTP filters.

use envoy_types::pb::envoy::config::core::v3::{
    ExtensionConfigSource, Http2ProtocolOptions, HttpProtocolOptions as CommonHttpOptions,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter};
use envoy_types::pb::envoy::extensions::filters::http::dynamic_forward_proxy::v3::{
    FilterConfig, filter_config::ImplementationSpecifier,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::set_filter_state::v3::Config as SetFilterState;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation, UpgradeConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_filter,
};
use envoy_types::util::pack_any;
use prost::{Message, Name};
use weir_contract::connection::ConnectionKind;

use super::protobuf::{ads, bool_value, duration, number, seconds};
use super::{
    Gateway, address_guard, buffers, decision_log, dns_cache, filter_state, http1, local_reply, names,
    policy_filter,
};
use crate::envoy::capabilities::Capabilities;
use crate::envoy::gateway::NodeSettings;

/// The maximum time in which a client must send a request's headers.
const REQUEST_HEADERS_SECONDS: i64 = 30;

/// Builds the explicit proxy's filters. A CONNECT is marked with its authority and forwarded to the internal listener;
/// an absolute-form request is forwarded to its upstream.
pub(super) fn explicit(gateway: &Gateway, capabilities: Capabilities) -> [Filter; 2] {
    let [policy, separate, forward_proxy, address_guard, mark_forwarded, router] = policed(&gateway.node);
    // The mark is set after the policy filter, which would take a marked request for one inside a tunnel.
    let filters = vec![policy, separate, mark_tunnel(), forward_proxy, address_guard, mark_forwarded, router];
    manager(
        ConnectionKind::Explicit,
        names::EXPLICIT_LISTENER,
        gateway,
        capabilities,
        names::EXPLICIT_ROUTES,
        filters,
        &["CONNECT", "websocket"],
    )
}

/// Builds the filters for terminated TLS, on the listener of this name.
pub(super) fn intercepted_tls(listener: &str, gateway: &Gateway, capabilities: Capabilities) -> [Filter; 2] {
    manager(
        ConnectionKind::Tls,
        listener,
        gateway,
        capabilities,
        names::INTERCEPTED_TLS_ROUTES,
        policed(&gateway.node).into(),
        &["websocket"],
    )
}

/// Builds the filters for plain HTTP that is not a proxy request, on the listener of this name.
pub(super) fn intercepted_plain(
    listener: &str,
    gateway: &Gateway,
    capabilities: Capabilities,
) -> [Filter; 2] {
    manager(
        ConnectionKind::Plain,
        listener,
        gateway,
        capabilities,
        names::INTERCEPTED_PLAIN_ROUTES,
        policed(&gateway.node).into(),
        &["websocket"],
    )
}

/// Builds the filters for passed-through TLS, each connection in a CONNECT.
pub(super) fn passthrough(gateway: &Gateway, capabilities: Capabilities) -> [Filter; 2] {
    let filters = policed(&gateway.node).into();
    manager(
        ConnectionKind::Passthrough,
        names::PASSTHROUGH_LISTENER,
        gateway,
        capabilities,
        names::PASSTHROUGH_ROUTES,
        filters,
        &["CONNECT"],
    )
}

/// Builds the HTTP filters that judge and forward requests, in each listener: policy, connection separation, forward
/// proxy, address guard, mark of a forwarded request, router.
fn policed(node: &NodeSettings) -> [HttpFilter; 6] {
    let forward_proxy = FilterConfig {
        save_upstream_address: true,
        // The policy filter comes before this one, and may set the address of a rule's own upstream.
        allow_dynamic_host_from_filter_state: true,
        implementation_specifier: Some(ImplementationSpecifier::DnsCacheConfig(dns_cache::config(node))),
    };
    // Envoy adds no `x-envoy-*` header to requests and responses.
    let router = Router { suppress_envoy_headers: true, ..Router::default() };
    [
        discovered(names::POLICY_FILTER, policy_filter::source()),
        separate(),
        configured("envoy.filters.http.dynamic_forward_proxy", forward_proxy),
        discovered(names::ADDRESS_GUARD, address_guard::source()),
        configured("envoy.filters.http.set_metadata", decision_log::mark_forwarded()),
        configured("envoy.filters.http.router", router),
    ]
}

/// Separates the upstream connections of the requests that the policy filter marks.
fn separate() -> HttpFilter {
    let config =
        SetFilterState { on_request_headers: filter_state::separated(), ..SetFilterState::default() };
    configured("envoy.filters.http.set_filter_state", config)
}

/// Shares filter state with the intercept listener: the CONNECT's authority, which the filter compares with the SNI and
/// the inner authority, and the connection's addresses. The routes of plain HTTP disable the filter.
fn mark_tunnel() -> HttpFilter {
    let config = SetFilterState { on_request_headers: filter_state::tunnel(), ..SetFilterState::default() };
    configured(names::MARK_TUNNEL, config)
}

/// Builds the connection manager after filters that describe the connection. `routes` is its route table, and its name
/// in statistics.
fn manager(
    kind: ConnectionKind,
    listener: &str,
    gateway: &Gateway,
    capabilities: Capabilities,
    routes: &str,
    filters: Vec<HttpFilter>,
    upgrades: &[&str],
) -> [Filter; 2] {
    let upgrade =
        |kind: &&str| UpgradeConfig { upgrade_type: (*kind).to_owned(), ..UpgradeConfig::default() };
    let manager = HttpConnectionManager {
        stat_prefix: routes.to_owned(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ads()),
            route_config_name: routes.to_owned(),
        })),
        http_filters: filters,
        access_log: decision_log::access_logs(listener, capabilities),
        access_log_options: Some(decision_log::options()),
        local_reply_config: Some(local_reply::config()),
        upgrade_configs: upgrades.iter().map(upgrade).collect(),
        http_protocol_options: Some(http1::downstream()),
        http2_protocol_options: Some(Http2ProtocolOptions {
            // This option also offers clients WebSockets within h2 (RFC 8441). Such a request has no
            // `sec-websocket-key`, and Envoy forwards it as an HTTP/1.1 upgrade, which servers refuse without that
            // header. So only tunnels get the option.
            allow_connect: upgrades.contains(&"CONNECT"),
            max_concurrent_streams: number(buffers::STREAMS),
            initial_stream_window_size: number(buffers::CLIENT_STREAM),
            initial_connection_window_size: number(buffers::CLIENT_CONNECTION),
            ..Http2ProtocolOptions::default()
        }),
        early_header_mutation_extensions: vec![filter_state::connection_header()],
        // The policy and the upstream must read the same path. Envoy resolves dot segments before the filter runs (RFC
        // 3986, 5.2.4), and leaves an encoded slash for the policy to deny.
        normalize_path: bool_value(true),
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged as i32,
        // Envoy does not trust the client: it ignores the client's `x-forwarded-*` and `x-envoy-*` headers, and adds
        // none.
        use_remote_address: bool_value(true),
        skip_xff_append: true,
        generate_request_id: bool_value(false),
        server_header_transformation: ServerHeaderTransformation::PassThrough as i32,
        stream_idle_timeout: duration(gateway.deployment.timeouts.stream),
        common_http_protocol_options: Some(CommonHttpOptions {
            idle_timeout: duration(gateway.deployment.timeouts.connection),
            ..CommonHttpOptions::default()
        }),
        request_headers_timeout: seconds(REQUEST_HEADERS_SECONDS),
        // The upstream answers `Expect: 100-continue`, and its other interim responses reach the client (RFC 9110,
        // 10.1.1 and 15.2). Otherwise Envoy would send 100 itself, before the upstream has seen the request.
        proxy_100_continue: true,
        ..HttpConnectionManager::default()
    };
    let manager = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack_any(manager))),
    };
    [filter_state::connection(kind), manager]
}

fn configured<M: Message + Name>(name: &str, config: M) -> HttpFilter {
    http_filter(name, http_filter::ConfigType::TypedConfig(pack_any(config)))
}

fn discovered(name: &str, source: ExtensionConfigSource) -> HttpFilter {
    http_filter(name, http_filter::ConfigType::ConfigDiscovery(source))
}

fn http_filter(name: &str, config_type: http_filter::ConfigType) -> HttpFilter {
    HttpFilter { name: name.to_owned(), config_type: Some(config_type), ..HttpFilter::default() }
}
