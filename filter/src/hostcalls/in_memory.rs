//! A host for tests: a request in memory that stores and rejects as Envoy does, and counts the calls.

use super::{CounterId, FailedCall, Header, Hostcalls, LocalResponse, MalformedHeaders, RequestHeaders};
use crate::counters::Counters;
use std::cell::RefCell;
use std::collections::BTreeMap;
use weir_contract::filter_state::WASM_PREFIX;
use weir_contract::header;

/// Envoy's own filter states that a filter may set.
const ENVOYS_FILTER_STATES: [&str; 4] = [
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.upstream.dynamic_host",
    "envoy.upstream.dynamic_port",
];

/// A host for tests, which keeps the headers of one request and records the filter's calls.
#[derive(Debug, Default)]
pub(crate) struct InMemory {
    headers: RefCell<Vec<(String, Vec<u8>)>>,
    /// The connection line, which the host adds behind all other headers.
    pub(crate) connection: Option<Vec<u8>>,
    /// The number of the client's connection.
    pub(crate) connection_id: u64,
    /// The number of the request.
    pub(crate) request_id: u32,
    /// Whether the headers end with an error.
    pub(crate) malformed: bool,
    filter_state: RefCell<BTreeMap<String, Vec<u8>>>,
    responses: RefCell<Vec<LocalResponse>>,
    counted: RefCell<BTreeMap<u32, u64>>,
    warnings: RefCell<Vec<String>>,
    calls: RefCell<Vec<&'static str>>,
    /// A call that always fails.
    broken: Option<&'static str>,
    /// The position, from 0, of a call that fails.
    fails_at: Option<usize>,
}

/// Returns the counters of every host in memory.
pub(crate) fn counters() -> Counters {
    let mut next = 0..;
    Counters::define(|_| next.next().map(CounterId))
}

/// Returns the name of each counter, in the order of their handles.
fn counter_names() -> Vec<String> {
    let mut names = Vec::new();
    Counters::define(|name| {
        names.push(name.to_owned());
        None
    });
    names
}

impl InMemory {
    /// `GET / HTTP/1.1` for `a.example` on a connection without TLS.
    pub(crate) fn plain() -> Self {
        Self { connection: Some(b"plain//".to_vec()), ..Self::default() }
            .with_header(":authority", b"a.example")
            .with_header(":method", b"GET")
            .with_header(":path", b"/")
            .with_header(":scheme", b"http")
    }

    /// `GET http://a.example/ HTTP/1.1` to the explicit proxy.
    pub(crate) fn to_proxy() -> Self {
        Self { connection: Some(b"explicit".to_vec()), ..Self::plain() }
    }

    /// `GET / HTTP/1.1` for `a.example` on a connection whose TLS Envoy terminates.
    pub(crate) fn tls(server_name: Option<&[u8]>) -> Self {
        let connection = [b"tls/", server_name.unwrap_or_default(), b"/"].concat();
        Self { connection: Some(connection), ..Self::plain() }.with_header(":scheme", b"https")
    }

    /// The CONNECT that Envoy makes for a passed-through connection.
    pub(crate) fn passthrough(server_name: &[u8], authority: &[u8]) -> Self {
        Self { connection: Some(b"passthrough".to_vec()), ..Self::default() }
            .with_header(":method", b"CONNECT")
            .with_header(":authority", authority)
            .with_header("x-weir-server-name", server_name)
    }

    /// Gives the client's connection and the request these numbers.
    pub(crate) fn numbered(self, connection_id: u64, request_id: u32) -> Self {
        Self { connection_id, request_id, ..self }
    }

    /// Puts the connection into a tunnel with this authority.
    pub(crate) fn in_tunnel(mut self, authority: &[u8]) -> Self {
        self.connection.get_or_insert_default().extend_from_slice(authority);
        self
    }

    pub(crate) fn with_header(self, name: &str, value: &[u8]) -> Self {
        self.headers.borrow_mut().retain(|(known, _)| known != name);
        self.also_header(name, value)
    }

    pub(crate) fn also_header(self, name: &str, value: &[u8]) -> Self {
        self.headers.borrow_mut().push((name.to_owned(), value.to_vec()));
        self
    }

    pub(crate) fn without_header(self, name: &str) -> Self {
        self.headers.borrow_mut().retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn broken(self, call: &'static str) -> Self {
        Self { broken: Some(call), ..self }
    }

    pub(crate) fn fails_at(self, position: usize) -> Self {
        Self { fails_at: Some(position), ..self }
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.borrow().len()
    }

    pub(crate) fn calls_of(&self, call: &str) -> usize {
        self.calls.borrow().iter().filter(|made| **made == call).count()
    }

    pub(crate) fn call_at(&self, position: usize) -> &'static str {
        self.calls.borrow()[position]
    }

    pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.headers.borrow().iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn filter_state(&self, key: &str) -> Option<String> {
        self.filter_state.borrow().get(key).map(|value| String::from_utf8(value.clone()).unwrap())
    }

    pub(crate) fn record(&self) -> Option<serde_json::Value> {
        self.filter_state("wasm.weir").map(|text| serde_json::from_str(&text).unwrap())
    }

    pub(crate) fn response(&self) -> Option<LocalResponse> {
        let responses = self.responses.borrow();
        assert!(responses.len() <= 1, "a request has one response");
        responses.first().cloned()
    }

    /// The response's body, which must be JSON.
    pub(crate) fn body(&self) -> Option<serde_json::Value> {
        self.response().map(|response| serde_json::from_slice(&response.body).expect("a body of JSON"))
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let id = counter_names().iter().position(|known| known == name).expect("a known counter");
        self.counted.borrow().get(&u32::try_from(id).unwrap()).copied().unwrap_or(0)
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counted.borrow().values().sum()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    fn call(&self, call: &'static str) -> Result<(), FailedCall> {
        let position = self.calls();
        self.calls.borrow_mut().push(call);
        if self.broken == Some(call) || self.fails_at == Some(position) {
            return Err(FailedCall { call, cause: "internal failure".into() });
        }
        Ok(())
    }
}

impl Hostcalls for InMemory {
    type RequestHeaders = Headers;

    fn request_headers(&self) -> Result<Headers, FailedCall> {
        self.call("request_headers")?;
        let headers = self.headers.borrow();
        let pairs = headers.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone()));
        let line = self.connection.iter().map(|line| (header::CONNECTION.as_bytes().to_vec(), line.clone()));
        Ok(Headers { pairs: pairs.chain(line).collect(), malformed: self.malformed })
    }

    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall> {
        self.call("set_request_header")?;
        let mut headers = self.headers.borrow_mut();
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    }

    fn remove_request_header(&self, name: &[u8]) -> Result<(), FailedCall> {
        self.call("remove_request_header")?;
        self.headers.borrow_mut().retain(|(known, _)| known.as_bytes() != name);
        Ok(())
    }

    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), FailedCall> {
        let call = "set_filter_state";
        self.call(call)?;
        if !key.starts_with(WASM_PREFIX) && !ENVOYS_FILTER_STATES.contains(&key) {
            return Err(FailedCall { call, cause: "not found".into() });
        }
        self.filter_state.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn connection_id(&self) -> Result<u64, FailedCall> {
        self.call("connection_id")?;
        Ok(self.connection_id)
    }

    fn monotonic_time(&self) -> Result<u64, FailedCall> {
        self.call("monotonic_time")?;
        Ok(0)
    }

    fn request_id(&self) -> u32 {
        self.request_id
    }

    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall> {
        self.call("send_local_response")?;
        self.responses.borrow_mut().push(response.clone());
        Ok(())
    }

    fn increment_counter(&self, CounterId(id): CounterId) -> Result<(), FailedCall> {
        self.call("increment_counter")?;
        *self.counted.borrow_mut().entry(id).or_default() += 1;
        Ok(())
    }

    fn warn(&self, message: &str) {
        self.warnings.borrow_mut().push(message.to_owned());
    }
}

/// The headers of a request in memory.
pub(crate) struct Headers {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    malformed: bool,
}

impl RequestHeaders for Headers {
    fn pairs(&self) -> impl Iterator<Item = Result<Header<'_>, MalformedHeaders>> {
        let pairs = self.pairs.iter().map(|(name, value)| Ok((name.as_slice(), value.as_slice())));
        pairs.chain(self.malformed.then_some(Err(MalformedHeaders)))
    }
}
