//! Route tables. The policy decides whether a request is allowed; a route only selects the cluster.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::upgrade_config::ConnectConfig;
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, UpgradeConfig};
use envoy_types::pb::envoy::config::route::v3::route_match::{ConnectMatcher, PathSpecifier};
use envoy_types::pb::envoy::config::route::v3::{
    FilterConfig, HeaderMatcher, RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch,
    VirtualHost, route,
};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::RbacPerRoute;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use envoy_types::util::pack_any;
use weir_contract::header;
use weir_policy::Host;
use weir_xds::{References, ResourceType};

use super::protobuf::{bool_value, duration, long_number, seconds};
use super::timeouts::Timeouts;
use super::{buffers, names, retry};

/// Headers that a proxy adds, or that describe the request's way to Weir. Upstreams must not see them.
const REQUEST_HEADERS_REMOVED: [&str; 12] = [
    header::CONNECTION,
    header::UPSTREAM,
    "forwarded",
    "via",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
    "proxy-authorization",
    "proxy-connection",
];

/// `Alt-Svc` would invite the client to HTTP/3 around Weir. Only Weir may send the decision header.
const RESPONSE_HEADERS_REMOVED: [&str; 2] = ["alt-svc", header::DECISION];

/// Routes of the explicit listener: tunnels to the intercept listener, absolute-form requests to the plain HTTP
/// cluster.
pub(super) fn explicit(timeouts: Timeouts) -> RouteConfiguration {
    let tunnel = Route {
        // A tunnel has no upstream address; the guard judges the requests inside it.
        typed_per_filter_config: [(names::ADDRESS_GUARD.to_owned(), pack_any(RbacPerRoute::default()))]
            .into(),
        ..tunnel_to(names::INTERCEPT_CLUSTER, timeouts.tunnel())
    };
    let [own_upstream, all] = over_plain_http().map(unmarked);
    table(names::EXPLICIT_ROUTES, vec![tunnel, own_upstream, all])
}

/// Disables the filter that marks tunnels. Envoy pools upstream connections by the filter state that it shares, so each
/// client of plain HTTP would have connections of its own.
fn unmarked(route: Route) -> Route {
    let disabled = FilterConfig { disabled: true, ..FilterConfig::default() };
    // One entry: the order of several would be another one each time.
    Route { typed_per_filter_config: [(names::MARK_TUNNEL.to_owned(), pack_any(disabled))].into(), ..route }
}

/// Routes of requests inside terminated TLS. `hosts` are those with clusters of their own.
pub(super) fn intercepted_tls<'h>(hosts: impl IntoIterator<Item = &'h Host>) -> RouteConfiguration {
    // Matches every form of the host in an authority, in any case and with any port. The server name is the same for
    // all.
    let host_table = |host: &Host| VirtualHost {
        name: names::host_cluster(host),
        domains: vec![host.to_string()],
        routes: over_tls(&names::host_cluster(host)),
        ..VirtualHost::default()
    };
    let mut table = table(names::INTERCEPTED_TLS_ROUTES, over_tls(names::HTTPS_CLUSTER));
    table.virtual_hosts.extend(hosts.into_iter().map(host_table));
    RouteConfiguration { ignore_port_in_host_matching: true, ..table }
}

fn over_tls(cluster: &str) -> Vec<Route> {
    let websocket = HeaderMatchSpecifier::StringMatch(StringMatcher {
        match_pattern: Some(MatchPattern::Exact("websocket".to_owned())),
        ignore_case: true,
    });
    let upgrade = with_header("upgrade", websocket, action(names::HTTPS_UPGRADE_CLUSTER));
    vec![retried(to_own_upstream(), retry::over_tls()), upgrade, retried(all_to(cluster), retry::over_tls())]
}

fn over_plain_http() -> [Route; 2] {
    [to_own_upstream(), all_to(names::HTTP_CLUSTER)].map(|route| retried(route, retry::over_plain_http()))
}

/// The route with a policy of retries. Envoy keeps the content of a request until its answer begins, up to
/// [`buffers::RETRIED_CONTENT`]; a request with more is forwarded as well, and not sent again.
fn retried(mut route: Route, policy: RetryPolicy) -> Route {
    if let Some(route::Action::Route(action)) = &mut route.action {
        action.retry_policy = Some(policy);
    }
    route.request_body_buffer_limit = long_number(buffers::RETRIED_CONTENT);
    route
}

/// Routes to the cluster that the policy filter names, if it names one. This route comes before all others.
fn to_own_upstream() -> Route {
    let named = ClusterSpecifier::ClusterHeader(header::UPSTREAM.to_owned());
    let action = RouteAction { cluster_specifier: Some(named), ..action("") };
    with_header(header::UPSTREAM, HeaderMatchSpecifier::PresentMatch(true), action)
}

fn with_header(name: &str, value: HeaderMatchSpecifier, action: RouteAction) -> Route {
    let header = HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(value),
        ..HeaderMatcher::default()
    };
    Route {
        r#match: Some(RouteMatch { headers: vec![header], ..any_path() }),
        action: Some(route::Action::Route(action)),
        ..Route::default()
    }
}

/// Routes of plain HTTP inside a tunnel.
pub(super) fn intercepted_plain() -> RouteConfiguration {
    table(names::INTERCEPTED_PLAIN_ROUTES, over_plain_http().into())
}

/// Routes of passed-through TLS, each connection in a CONNECT.
pub(super) fn passthrough(timeouts: Timeouts) -> RouteConfiguration {
    table(names::PASSTHROUGH_ROUTES, vec![tunnel_to(names::PASSTHROUGH_CLUSTER, timeouts.stream)])
}

/// Terminates a CONNECT, and forwards its bytes to the cluster.
fn tunnel_to(cluster: &str, idle: Duration) -> Route {
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::ConnectMatcher(ConnectMatcher {})),
            ..RouteMatch::default()
        }),
        action: Some(route::Action::Route(RouteAction {
            upgrade_configs: vec![UpgradeConfig {
                upgrade_type: "CONNECT".to_owned(),
                connect_config: Some(ConnectConfig::default()),
                ..UpgradeConfig::default()
            }],
            idle_timeout: duration(idle),
            ..action(cluster)
        })),
        ..Route::default()
    }
}

/// Returns the clusters that a table refers to.
pub(super) fn references(table: &RouteConfiguration) -> References {
    let routes = table.virtual_hosts.iter().flat_map(|host| &host.routes);
    let clusters = routes.filter_map(|route| match &route.action {
        Some(route::Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(name)),
            ..
        })) => Some((ResourceType::Cluster, name.clone())),
        _ => None,
    });
    clusters.collect()
}

fn table(name: &str, routes: Vec<Route>) -> RouteConfiguration {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: "any".to_owned(),
            domains: vec!["*".to_owned()],
            routes,
            ..VirtualHost::default()
        }],
        request_headers_to_remove: owned(&REQUEST_HEADERS_REMOVED),
        response_headers_to_remove: owned(&RESPONSE_HEADERS_REMOVED),
        ..RouteConfiguration::default()
    }
}

fn all_to(cluster: &str) -> Route {
    Route {
        r#match: Some(any_path()),
        action: Some(route::Action::Route(action(cluster))),
        ..Route::default()
    }
}

fn any_path() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() }
}

fn action(cluster: &str) -> RouteAction {
    RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        // A stream may last as long as bytes flow; the idle timeout bounds it.
        timeout: seconds(0),
        // The explicit listener has this upgrade for its tunnels. Envoy before 1.39 would also accept it from a GET
        // with `upgrade: connect`, and forward the following bytes unjudged (measured on 1.36.2 and 1.38.2).
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "CONNECT".to_owned(),
            enabled: bool_value(false),
            ..UpgradeConfig::default()
        }],
        ..RouteAction::default()
    }
}
