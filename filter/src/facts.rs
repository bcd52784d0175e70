//! What the filter asks its host about a request, in as few calls as can be.
//!
//! Headers are the client's word. What the connection is (TLS or not, its server name, the CONNECT that carried it)
//! is the host's word, and no header can change it.

use crate::hostcalls::{FailedCall, Header, Hostcalls};
use std::fmt;
use weir_policy::{Authority, Connection, Request, Scheme};

/// Filter state in which the explicit listener hands the authority of a CONNECT to the connection inside it.
pub const CONNECT_AUTHORITY: &str = "weir.connect_authority";

/// Name of the filter chain that clients of the explicit proxy speak to.
const EXPLICIT_CHAIN: &[u8] = b"explicit";
/// Name of the filter chain of TLS that is not opened; each connection is a CONNECT that Envoy made.
const PASSTHROUGH_CHAIN: &[u8] = b"passthrough";
/// Header of that CONNECT: the connection's server name.
const SERVER_NAME_HEADER: &str = "x-weir-server-name";
/// Header in which a client says who it is, to a proxy.
const CREDENTIALS_HEADER: &str = "proxy-authorization";

/// Headers that no upstream may see and no client may set: Weir's and Envoy's own, the client's credentials for this
/// proxy, and where the client sits.
const UNWANTED_PREFIXES: [&str; 4] = ["x-weir-", "x-envoy-", "x-forwarded-", "proxy-"];
/// Envoy's own request id would tell an upstream which of its requests belong together.
const UNWANTED_NAMES: [&str; 1] = ["x-request-id"];
/// Envoy finds no route for a request without it (404, `route_not_found`), so only the route can remove it.
const NEEDED_BY_ENVOY: &str = "x-forwarded-proto";

/// A request as the host describes it; every byte may be hostile.
#[derive(Debug, Default)]
pub struct Facts {
    /// `:authority`; empty if there is none.
    pub authority: Vec<u8>,
    /// `:method`; empty if there is none.
    pub method: Vec<u8>,
    /// `:path` with its query; empty if there is none, as for a CONNECT.
    pub path: Vec<u8>,
    /// `:scheme`: what the client, or Envoy in its place, says.
    pub claimed_scheme: Vec<u8>,
    /// Whether this connection's TLS ended here.
    pub tls: bool,
    /// The server name of the TLS handshake.
    pub sni: Option<Vec<u8>>,
    /// The authority of the CONNECT that carried this connection.
    pub tunnel: Option<Vec<u8>>,
    /// Whether the client speaks to the explicit proxy, and not to a host through it or by a redirection.
    pub to_proxy: bool,
    /// Whether it asks for a WebSocket.
    pub upgrades_to_websocket: bool,
    /// Whether this CONNECT stands for a TLS connection that is not opened. Its authority is where the client asked to
    /// go, and its server name is that of the connection.
    pub unopened: bool,
    /// `Proxy-Authorization`; empty if there is none.
    pub proxy_authorization: Secret,
    /// The server name that a CONNECT of Envoy's tells; anybody's word elsewhere.
    told_server_name: Vec<u8>,
    /// Names of the headers that must not go on, each once.
    pub unwanted_headers: Vec<String>,
    /// The headers that go on, if they were asked for.
    pub headers: Vec<Header>,
}

/// Bytes that do not print.
#[derive(Default)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// What is kept of a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What every decision needs.
    Facts,
    /// All that go on as well.
    Headers,
}

impl Facts {
    /// Asks the host: one call for all headers, two to four for the connection.
    pub fn gather(host: &impl Hostcalls) -> Result<Self, FailedCall> {
        Self::gather_with(host, Keep::Facts)
    }

    /// [`Self::gather`], and what it keeps of the headers.
    pub fn gather_with(host: &impl Hostcalls, keep: Keep) -> Result<Self, FailedCall> {
        let mut facts = Self::default();
        for header in host.request_headers()? {
            facts.take(header, keep);
        }
        facts.sni = host.property(&["connection", "requested_server_name"])?;
        // A server name means a ClientHello, and HTTP could be read only because its TLS ended here. Without one,
        // ask: taking a handshake without SNI for plain HTTP would skip the binding of authority to SNI.
        facts.tls = facts.sni.is_some() || host.property(&["connection", "tls_version"])?.is_some();
        facts.tunnel = host.property(&["filter_state", CONNECT_AUTHORITY])?;
        if !facts.tls && facts.tunnel.is_none() {
            match host.property(&["xds", "filter_chain_name"])?.as_deref() {
                Some(EXPLICIT_CHAIN) => facts.to_proxy = true,
                Some(PASSTHROUGH_CHAIN) => {
                    facts.unopened = true;
                    facts.tls = true;
                    facts.sni = Some(std::mem::take(&mut facts.told_server_name));
                }
                Some(_) | None => {}
            }
        }
        Ok(facts)
    }

    /// Whether this is a CONNECT at the explicit listener, which asks for a tunnel and not for a resource.
    pub fn asks_for_tunnel(&self) -> bool {
        self.method == b"CONNECT" && self.to_proxy
    }

    /// Whether the client asked for `https` over a connection without TLS (`GET https://… HTTP/1.1` to a proxy).
    /// Sent on, it would go out unencrypted.
    pub fn claims_https_without_tls(&self) -> bool {
        !self.tls && self.claimed_scheme.eq_ignore_ascii_case(b"https")
    }

    /// The scheme by what the connection is.
    pub fn scheme(&self) -> Scheme {
        if self.tls { Scheme::Https } else { Scheme::Http }
    }

    /// The view that the policy decides on.
    pub fn request(&self) -> Request<'_> {
        Request {
            scheme: self.scheme(),
            authority: &self.authority,
            method: &self.method,
            path: &self.path,
            sni: self.sni.as_deref(),
            tunnel: self.tunnel.as_deref(),
        }
    }

    /// The same of a TLS connection that is not opened.
    pub fn connection(&self) -> Connection<'_> {
        // No rule lists port 0.
        let port = Authority::parse_with_port(&self.authority).map_or(0, |authority| authority.port);
        Connection { server_name: self.sni.as_deref(), port, tunnel: Some(&self.authority) }
    }

    fn refuse(&mut self, name: String) {
        if !self.unwanted_headers.contains(&name) {
            self.unwanted_headers.push(name);
        }
    }

    fn take(&mut self, Header { name, value }: Header, keep: Keep) {
        if name == "upgrade" {
            self.upgrades_to_websocket = value.eq_ignore_ascii_case(b"websocket");
        }
        match name.as_str() {
            // Envoy joins two Host headers with a comma, which no policy takes for a host. Should one ever come
            // through as two entries, joining them here keeps it so.
            ":authority" | "host" => join(&mut self.authority, value),
            ":method" => join(&mut self.method, value),
            ":path" => join(&mut self.path, value),
            ":scheme" => join(&mut self.claimed_scheme, value),
            _ if is_unwanted(&name) => {
                match name.as_str() {
                    SERVER_NAME_HEADER => join(&mut self.told_server_name, value),
                    CREDENTIALS_HEADER => join(&mut self.proxy_authorization.0, value),
                    _ => {}
                }
                self.refuse(name);
            }
            _ if keep == Keep::Headers => self.headers.push(Header { name, value }),
            _ => {}
        }
    }
}

fn join(fact: &mut Vec<u8>, value: Vec<u8>) {
    if fact.is_empty() {
        *fact = value;
    } else {
        // NUL is legal in none of them.
        fact.push(0);
        fact.extend(value);
    }
}

fn is_unwanted(name: &str) -> bool {
    let listed =
        UNWANTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || UNWANTED_NAMES.contains(&name);
    listed && name != NEEDED_BY_ENVOY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostcalls::in_memory::InMemory;

    #[test]
    fn tls_without_sni_is_https_and_not_http() {
        let facts = Facts::gather(&InMemory::tls(None).with_header(":scheme", b"http")).unwrap();
        assert_eq!(facts.scheme(), Scheme::Https);
        assert_eq!(facts.sni, None);
    }

    #[test]
    fn the_claimed_scheme_does_not_make_tls() {
        let facts = Facts::gather(&InMemory::plain().with_header(":scheme", b"HTTPS")).unwrap();
        assert_eq!(facts.scheme(), Scheme::Http);
        assert!(facts.claims_https_without_tls());
    }

    #[test]
    fn an_https_request_costs_three_calls_and_a_plain_one_five() {
        let https = InMemory::tls(Some(b"a.example"));
        Facts::gather(&https).unwrap();
        assert_eq!(https.calls(), 3);
        let plain = InMemory::plain();
        Facts::gather(&plain).unwrap();
        assert_eq!(plain.calls(), 5);
    }

    #[test]
    fn two_hosts_become_none() {
        let host =
            InMemory::plain().with_header(":authority", b"a.example").also_header("host", b"b.example");
        assert_eq!(Facts::gather(&host).unwrap().authority, b"a.example\0b.example");
    }

    #[test]
    fn only_a_connect_to_the_proxy_asks_for_a_tunnel() {
        let connect = |host: InMemory| Facts::gather(&host.with_header(":method", b"CONNECT")).unwrap();
        assert!(connect(InMemory::to_proxy()).asks_for_tunnel());
        assert!(!connect(InMemory::plain()).asks_for_tunnel());
        assert!(!connect(InMemory::to_proxy().in_tunnel(b"a.example:80")).asks_for_tunnel());
        assert!(!connect(InMemory::tls(None)).asks_for_tunnel());
        assert!(!connect(InMemory::tls(Some(b"a.example"))).asks_for_tunnel());
        assert!(!Facts::gather(&InMemory::to_proxy()).unwrap().asks_for_tunnel());
    }

    #[test]
    fn unwanted_headers_are_named_once() {
        let host = InMemory::plain()
            .also_header("x-weir-decision", b"1")
            .also_header("x-weir-decision", b"2")
            .also_header("proxy-authorization", b"Basic eA==")
            .also_header("x-request-id", b"1")
            .also_header("x-weird", b"1")
            .also_header("accept", b"*/*");
        let facts = Facts::gather(&host).unwrap();
        assert_eq!(facts.unwanted_headers, ["x-weir-decision", "proxy-authorization", "x-request-id"]);
    }
}
