//! The filter's calls to its host, so that a proxy-wasm module, a native module and a test can each be one.
//!
//! Names and values are bytes. A header value, a server name or a path holds any bytes that a client sent, and a
//! conversion to text that fails would take the filter down for every other request.

#[cfg(test)]
pub(crate) mod in_memory;

use std::borrow::Cow;
use thiserror::Error;

/// The host of one request.
///
/// A failed call leads to a denial, whatever its cause.
pub trait Hostcalls {
    /// The headers of a request, in a form that suits the host.
    type RequestHeaders: RequestHeaders;

    /// Returns all request headers, pseudo-headers (`:authority`) included.
    fn request_headers(&self) -> Result<Self::RequestHeaders, FailedCall>;

    /// Sets a request header to one value, and removes its earlier values.
    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall>;

    /// Removes every value of a request header.
    fn remove_request_header(&self, name: &[u8]) -> Result<(), FailedCall>;

    /// Sets a filter state of the request, under the key that Envoy's configuration reads it by.
    ///
    /// The state must live as long as the request's own filter chain: a state with a longer life leaks over internal
    /// redirects, or to other requests of the connection.
    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), FailedCall>;

    /// Returns the number of the client's connection, which no other connection to this host ever has.
    fn connection_id(&self) -> Result<u64, FailedCall>;

    /// Returns the nanoseconds since a moment in the past, by a clock that never goes back.
    fn monotonic_time(&self) -> Result<u64, FailedCall>;

    /// Returns the number of the request, which no other request has at the same time.
    fn request_id(&self) -> u32;

    /// Responds to the request in the upstream's place.
    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall>;

    /// Adds one to a counter.
    fn increment_counter(&self, counter: CounterId) -> Result<(), FailedCall>;

    /// Writes a line to the host's own log, as a warning.
    fn warn(&self, message: &str);
}

/// The headers of a request. Names are in lower case; values hold any bytes.
pub trait RequestHeaders {
    /// Returns every header in its order. An error ends the headers.
    fn pairs(&self) -> impl Iterator<Item = Result<Header<'_>, MalformedHeaders>>;
}

/// The name and the value of a header.
pub type Header<'h> = (&'h [u8], &'h [u8]);

/// An error for bytes of a host that are not headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the host's headers are malformed")]
pub struct MalformedHeaders;

/// A response that the filter composes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    /// The HTTP status.
    pub status: u16,
    /// Pairs of name and value.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The host's handle of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub u32);

/// A call that the host did not carry out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("host call `{call}` failed: {cause}")]
pub struct FailedCall {
    /// The host's name of the call.
    pub call: &'static str,
    /// The host's word for the cause.
    pub cause: Cow<'static, str>,
}
