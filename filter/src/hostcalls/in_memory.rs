//! A host for tests: a request in memory that answers, stores and refuses as Envoy does, and counts the calls.

use super::{CounterId, FailedCall, Hostcalls, LocalResponse, Status};
use crate::header_map::{self, HeaderMap};
use std::cell::RefCell;
use std::collections::BTreeMap;
use weir_contract::header;

/// What Envoy's `set_envoy_filter_state` accepts among its own keys.
const FILTER_STATE_FACTORIES: [&str; 4] = [
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.upstream.dynamic_host",
    "envoy.upstream.dynamic_port",
];

#[derive(Debug, Default)]
pub(crate) struct InMemory {
    headers: RefCell<Vec<(String, Vec<u8>)>>,
    /// What the filter chain composed; a header behind all others.
    pub(crate) connection: Option<Vec<u8>>,
    filter_state: RefCell<BTreeMap<String, Vec<u8>>>,
    responses: RefCell<Vec<LocalResponse>>,
    counters: RefCell<Vec<(String, u64)>>,
    warnings: RefCell<Vec<String>>,
    calls: RefCell<Vec<&'static str>>,
    /// A call that always fails.
    broken: Option<&'static str>,
    /// The position, from 0, of a call that fails.
    fails_at: Option<usize>,
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

    /// The same asked of the explicit proxy.
    pub(crate) fn to_proxy() -> Self {
        Self { connection: Some(b"explicit".to_vec()), ..Self::plain() }
    }

    /// The same over TLS.
    pub(crate) fn tls(sni: Option<&[u8]>) -> Self {
        let connection = [b"tls/", sni.unwrap_or_default(), b"/"].concat();
        Self { connection: Some(connection), ..Self::plain() }.with_header(":scheme", b"https")
    }

    /// The CONNECT that Envoy makes of a connection that is not opened.
    pub(crate) fn unopened(server_name: &[u8], authority: &[u8]) -> Self {
        Self { connection: Some(b"passthrough".to_vec()), ..Self::default() }
            .with_header(":method", b"CONNECT")
            .with_header(":authority", authority)
            .with_header("x-weir-server-name", server_name)
    }

    /// The same out of a CONNECT.
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

    /// How many calls there were.
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
        assert!(responses.len() <= 1, "a request is answered once");
        responses.first().cloned()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.counters.borrow().iter().find(|(defined, _)| defined == name).map_or(0, |(_, value)| *value)
    }

    pub(crate) fn counted(&self) -> u64 {
        self.counters.borrow().iter().map(|(_, value)| value).sum()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    fn call(&self, call: &'static str) -> Result<(), FailedCall> {
        let position = self.calls();
        self.calls.borrow_mut().push(call);
        if self.broken == Some(call) || self.fails_at == Some(position) {
            return Err(FailedCall { call, status: Status::InternalFailure });
        }
        Ok(())
    }
}

impl Hostcalls for InMemory {
    fn request_headers(&self) -> Result<HeaderMap, FailedCall> {
        self.call("get_header_map_pairs")?;
        let headers = self.headers.borrow();
        let own = self.connection.iter().map(|line| (header::CONNECTION.as_bytes(), line.as_slice()));
        let pairs: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).chain(own).collect();
        Ok(HeaderMap::from(header_map::encode(&pairs)))
    }

    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall> {
        self.call("replace_header_map_value")?;
        let mut headers = self.headers.borrow_mut();
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    }

    fn remove_request_header(&self, name: &[u8]) -> Result<(), FailedCall> {
        self.call("remove_header_map_value")?;
        self.headers.borrow_mut().retain(|(known, _)| known.as_bytes() != name);
        Ok(())
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), FailedCall> {
        self.call("set_property")?;
        self.filter_state.borrow_mut().insert(format!("wasm.{key}"), value.to_vec());
        Ok(())
    }

    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), FailedCall> {
        let call = "call_foreign_function";
        self.call(call)?;
        if name != "set_envoy_filter_state" {
            return Err(FailedCall { call, status: Status::NotFound });
        }
        let (key, rest) =
            string_field(argument, 1).ok_or(FailedCall { call, status: Status::BadArgument })?;
        let (value, rest) = string_field(rest, 2).ok_or(FailedCall { call, status: Status::BadArgument })?;
        assert!(rest.is_empty(), "the life span must be the filter chain's, the default");
        if !FILTER_STATE_FACTORIES.contains(&key.as_str()) {
            return Err(FailedCall { call, status: Status::NotFound });
        }
        self.filter_state.borrow_mut().insert(key, value.into_bytes());
        Ok(())
    }

    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall> {
        self.call("send_local_response")?;
        self.responses.borrow_mut().push(response.clone());
        Ok(())
    }

    fn define_counter(&self, name: &str) -> Result<CounterId, FailedCall> {
        self.call("define_metric")?;
        let mut counters = self.counters.borrow_mut();
        counters.push((name.to_owned(), 0));
        Ok(CounterId(u32::try_from(counters.len() - 1).unwrap()))
    }

    fn increment_counter(&self, CounterId(id): CounterId) -> Result<(), FailedCall> {
        let call = "increment_metric";
        self.call(call)?;
        let mut counters = self.counters.borrow_mut();
        let counter = counters.get_mut(id as usize).ok_or(FailedCall { call, status: Status::NotFound })?;
        counter.1 += 1;
        Ok(())
    }

    fn warn(&self, message: &str) {
        self.warnings.borrow_mut().push(message.to_owned());
    }
}

/// A protobuf string field with this number at the start of `bytes`, and what follows it.
fn string_field(bytes: &[u8], number: u8) -> Option<(String, &[u8])> {
    let (tag, mut rest) = bytes.split_first()?;
    if *tag != number << 3 | 2 {
        return None;
    }
    let (mut length, mut shift) = (0, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (text, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}
