//! What the filter knows of a request, out of its headers: one call of the host.
//!
//! Headers are the client's word. What the connection is (TLS or not, its server name, the CONNECT that carried it)
//! is the host's word. It comes last among the headers, and nothing that a client sends can take its place
//! ([`connection`]).

use crate::header_map::HeaderMap;
use crate::hostcalls::{FailedCall, Status};
use std::borrow::Cow;
use std::fmt;
use weir_contract::connection::{self, ConnectionKind};
use weir_contract::header;
use weir_policy::{Authority, Connection, Request, Scheme};

/// Header with the TLS server name of a connection that passes through unopened.
const SERVER_NAME_HEADER: &[u8] = header::SERVER_NAME.as_bytes();
/// Header in which a client says who it is, to a proxy.
const CREDENTIALS_HEADER: &[u8] = b"proxy-authorization";

/// Headers that no upstream may see and no client may set: Weir's and Envoy's own, the client's credentials for this
/// proxy, and where the client sits.
const UNWANTED_PREFIXES: [&[u8]; 4] = [b"x-weir-", b"x-envoy-", b"x-forwarded-", b"proxy-"];
/// Envoy's own request id would tell an upstream which of its requests belong together.
const UNWANTED_NAMES: [&[u8]; 1] = [b"x-request-id"];
/// What Envoy puts into requests itself, beside what the connection is. The route removes all of that, and whatever a
/// client sent of the same name (`control-plane/src/envoy/resources/route.rs`), which costs no call; without `x-forwarded-proto` Envoy finds no route at all
/// (404, `route_not_found`).
const ENVOYS_OWN: [&[u8]; 2] = [b"x-envoy-external-address", b"x-forwarded-proto"];

/// A request as the host describes it; every byte may be hostile.
#[derive(Debug, Default)]
pub struct Facts<'h> {
    /// `:authority`; empty if there is none.
    pub authority: Cow<'h, [u8]>,
    /// `:method`; empty if there is none.
    pub method: Cow<'h, [u8]>,
    /// `:path` with its query; empty if there is none, as for a CONNECT.
    pub path: Cow<'h, [u8]>,
    /// `:scheme`: what the client, or Envoy in its place, says.
    pub claimed_scheme: Cow<'h, [u8]>,
    /// Whether this connection's TLS ended here.
    pub tls: bool,
    /// The server name of the TLS handshake.
    pub sni: Option<Cow<'h, [u8]>>,
    /// The authority of the CONNECT that carried this connection.
    pub tunnel: Option<&'h [u8]>,
    /// Whether the client speaks to the explicit proxy, and not to a host through it or by a redirection.
    pub to_proxy: bool,
    /// Whether it asks for a WebSocket.
    pub upgrades_to_websocket: bool,
    /// Whether its length is written in a way that not every server reads alike.
    pub ambiguous_length: bool,
    /// Whether this CONNECT stands for a TLS connection that is not opened. Its authority is where the client asked to
    /// go, and its server name is that of the connection.
    pub unopened: bool,
    /// `Proxy-Authorization`; empty if there is none.
    pub proxy_authorization: Secret<'h>,
    /// The server name that a CONNECT of Envoy's tells; anybody's word elsewhere.
    told_server_name: Cow<'h, [u8]>,
    /// Names of the headers that must not go on, each once.
    pub unwanted_headers: Vec<&'h [u8]>,
    /// The headers that go on, if they were asked for.
    pub headers: Vec<(&'h str, &'h [u8])>,
}

/// Bytes that do not print.
#[derive(Default)]
pub struct Secret<'h>(pub Cow<'h, [u8]>);

impl fmt::Debug for Secret<'_> {
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

impl<'h> Facts<'h> {
    /// Reads the headers that the host gave.
    ///
    /// # Errors
    /// Headers that cannot be read, or do not say what the connection is, as a failure of the call that gave them.
    pub fn read(headers: &'h HeaderMap, keep: Keep) -> Result<Self, FailedCall> {
        let mut facts = Self::default();
        let mut line = None;
        for pair in headers.pairs() {
            let (name, value) = pair.map_err(|_| malformed_headers())?;
            if name == header::CONNECTION.as_bytes() {
                // What came before it is a client's.
                line = Some(value);
            } else {
                facts.take(name, value, keep)?;
            }
        }
        let told = line.and_then(connection::read).ok_or(NO_CONNECTION)?;
        facts.sni = told.server_name.map(Cow::Borrowed);
        facts.tunnel = told.tunnel;
        match told.kind {
            ConnectionKind::Tls => facts.tls = true,
            ConnectionKind::Plain => {}
            ConnectionKind::Explicit => facts.to_proxy = true,
            ConnectionKind::Passthrough => {
                facts.unopened = true;
                facts.tls = true;
                facts.sni = Some(std::mem::take(&mut facts.told_server_name));
            }
        }
        Ok(facts)
    }

    /// Whether this is a CONNECT at the explicit listener, which asks for a tunnel and not for a resource.
    pub fn asks_for_tunnel(&self) -> bool {
        *self.method == *b"CONNECT" && self.to_proxy
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
            tunnel: self.tunnel,
        }
    }

    /// The same of a TLS connection that is not opened.
    pub fn connection(&self) -> Connection<'_> {
        // No rule lists port 0.
        let port = Authority::parse_with_port(&self.authority).map_or(0, |authority| authority.port);
        Connection { server_name: self.sni.as_deref(), port, tunnel: Some(&self.authority) }
    }

    fn take(&mut self, name: &'h [u8], value: &'h [u8], keep: Keep) -> Result<(), FailedCall> {
        match name {
            // Envoy joins two Host headers with a comma, which no policy takes for a host. Should one ever come
            // through as two entries, joining them here keeps it so.
            b":authority" | b"host" => join(&mut self.authority, value),
            b":method" => join(&mut self.method, value),
            b":path" => join(&mut self.path, value),
            b":scheme" => join(&mut self.claimed_scheme, value),
            // Neither goes on nor needs to be removed.
            _ if ENVOYS_OWN.contains(&name) => {}
            _ if is_unwanted(name) => {
                match name {
                    SERVER_NAME_HEADER => join(&mut self.told_server_name, value),
                    CREDENTIALS_HEADER => join(&mut self.proxy_authorization.0, value),
                    _ => {}
                }
                if !self.unwanted_headers.contains(&name) {
                    self.unwanted_headers.push(name);
                }
            }
            _ => {
                match name {
                    b"upgrade" => self.upgrades_to_websocket = value.eq_ignore_ascii_case(b"websocket"),
                    b"content-length" => self.ambiguous_length |= !is_plain_length(value),
                    _ => {}
                }
                if keep == Keep::Headers {
                    // Envoy's codecs refuse a name that is no HTTP token. One that still came must not be overlooked by a
                    // policy that looks for it.
                    let name = std::str::from_utf8(name).map_err(|_| malformed_headers())?;
                    self.headers.push((name, value));
                }
            }
        }
        Ok(())
    }
}

fn join<'h>(fact: &mut Cow<'h, [u8]>, value: &'h [u8]) {
    if fact.is_empty() {
        *fact = Cow::Borrowed(value);
    } else {
        // NUL is legal in none of them.
        let joined = fact.to_mut();
        joined.push(0);
        joined.extend_from_slice(value);
    }
}

/// Whether a length is a decimal number as RFC 9110, 8.6, has it, without leading zeros and below 10^18. Envoy takes
/// more: a sign and spaces over HTTP/2 before 1.40, zeros, and numbers that are negative in 64 bits.
fn is_plain_length(value: &[u8]) -> bool {
    match value {
        b"0" => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_unwanted(name: &[u8]) -> bool {
    // Most names are not even looked at.
    matches!(name, [b'x' | b'p', ..])
        && (UNWANTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || UNWANTED_NAMES.contains(&name))
}

/// The connection manager, which adds the header, does not say what the connection is.
const NO_CONNECTION: FailedCall =
    FailedCall { call: "get_header_map_pairs (x-weir-connection)", status: Status::Empty };

fn malformed_headers() -> FailedCall {
    FailedCall { call: "get_header_map_pairs", status: Status::ParseFailure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostcalls::Hostcalls;
    use crate::hostcalls::in_memory::InMemory;

    /// Reads what a host says of its request.
    fn with_facts<T>(host: &InMemory, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        look(&Facts::read(&host.request_headers().unwrap(), Keep::Facts).unwrap())
    }

    #[test]
    fn tls_without_sni_is_https_and_not_http() {
        with_facts(&InMemory::tls(None).with_header(":scheme", b"http"), |facts| {
            assert_eq!(facts.scheme(), Scheme::Https);
            assert_eq!(facts.sni, None);
        });
    }

    #[test]
    fn the_claimed_scheme_does_not_make_tls() {
        with_facts(&InMemory::plain().with_header(":scheme", b"HTTPS"), |facts| {
            assert_eq!(facts.scheme(), Scheme::Http);
            assert!(facts.claims_https_without_tls());
        });
    }

    #[test]
    fn no_client_can_say_what_its_connection_is() {
        for forged in [b"tls/b.example/".as_slice(), b"explicit", b"passthrough", b"", b"\xff"] {
            let host = InMemory::tls(Some(b"a.example")).also_header("x-weir-connection", forged);
            with_facts(&host, |facts| {
                assert_eq!((facts.tls, facts.to_proxy, facts.unopened), (true, false, false));
                assert_eq!(facts.sni.as_deref(), Some(b"a.example".as_slice()));
                assert_eq!(facts.unwanted_headers, [] as [&[u8]; 0], "the route removes all of that name");
            });
        }
    }

    #[test]
    fn what_envoy_adds_does_not_go_on_and_is_not_removed_here() {
        let host = InMemory::plain()
            .also_header("x-envoy-external-address", b"127.0.0.1")
            .also_header("x-forwarded-proto", b"http")
            .also_header("accept", b"*/*");
        let headers = host.request_headers().unwrap();
        let facts = Facts::read(&headers, Keep::Headers).unwrap();
        assert_eq!(facts.headers, [("accept", b"*/*".as_slice())]);
        assert_eq!(facts.unwanted_headers, [] as [&[u8]; 0]);
    }

    #[test]
    fn only_a_plain_number_is_a_length() {
        for plain in ["0", "5", "10", "999999999999999999"] {
            assert!(is_plain_length(plain.as_bytes()), "{plain}");
        }
        for odd in [
            "",
            "+5",
            "-5",
            " 5",
            "5 ",
            "\t5",
            "005",
            "00",
            "0x5",
            "5,5",
            "5, 5",
            "5.0",
            "1000000000000000000",
        ] {
            assert!(!is_plain_length(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn one_odd_length_among_several_is_enough() {
        let host = InMemory::plain().also_header("content-length", b"+5").also_header("content-length", b"5");
        with_facts(&host, |facts| assert!(facts.ambiguous_length));
    }

    #[test]
    fn two_hosts_become_none() {
        let host =
            InMemory::plain().with_header(":authority", b"a.example").also_header("host", b"b.example");
        with_facts(&host, |facts| assert_eq!(*facts.authority, *b"a.example\0b.example"));
    }

    #[test]
    fn only_a_connect_to_the_proxy_asks_for_a_tunnel() {
        let asks_for_tunnel = |host: &InMemory| {
            Facts::read(&host.request_headers().unwrap(), Keep::Facts).unwrap().asks_for_tunnel()
        };
        let asks = |host: InMemory| asks_for_tunnel(&host.with_header(":method", b"CONNECT"));
        assert!(asks(InMemory::to_proxy()));
        assert!(!asks(InMemory::plain()));
        assert!(!asks(InMemory::plain().in_tunnel(b"a.example:80")));
        assert!(!asks(InMemory::tls(None)));
        assert!(!asks(InMemory::tls(Some(b"a.example"))));
        assert!(!asks_for_tunnel(&InMemory::to_proxy()));
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
        with_facts(&host, |facts| {
            let unwanted: [&[u8]; 3] = [b"x-weir-decision", b"proxy-authorization", b"x-request-id"];
            assert_eq!(facts.unwanted_headers, unwanted);
        });
    }

    #[test]
    fn a_connection_of_which_nothing_is_known_is_no_connection() {
        for (told, forged) in
            [(None, false), (Some(b"tsl/a.example/".to_vec()), true), (Some(Vec::new()), true)]
        {
            let mut host = InMemory::plain();
            host.connection = told;
            let host = if forged { host.also_header("x-weir-connection", b"tls/a.example/") } else { host };
            let headers = host.request_headers().unwrap();
            assert_eq!(Facts::read(&headers, Keep::Facts).unwrap_err().call, NO_CONNECTION.call);
        }
    }
}
