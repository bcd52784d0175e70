//! What the filter may ask of its host, so that everything but one file runs and is tested without an SDK.
//!
//! Bytes go in and out: a header value, an SNI or a path is whatever a client sent, and a conversion to text here
//! would be the place where one request takes the filter down for all others.

#[cfg(test)]
pub(crate) mod in_memory;

use crate::header_map::HeaderMap;
use std::borrow::Cow;
use thiserror::Error;

/// The host of one request: Envoy, through proxy-wasm or later through a dynamic module.
pub trait Hostcalls {
    /// All request headers, pseudo-headers (`:authority`) included.
    fn request_headers(&self) -> Result<HeaderMap, FailedCall>;

    /// Sets a request header to one value, whatever it was before.
    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall>;

    /// Removes every value of a request header.
    fn remove_request_header(&self, name: &[u8]) -> Result<(), FailedCall>;

    /// Stores `value` in the request's filter state under `wasm.<key>`.
    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), FailedCall>;

    /// Calls a function that the host offers beyond the ABI.
    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), FailedCall>;

    /// Answers the request in the upstream's place.
    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall>;

    /// Defines a counter, or finds the one of this name.
    fn define_counter(&self, name: &str) -> Result<CounterId, FailedCall>;

    /// Adds one to a counter.
    fn increment_counter(&self, counter: CounterId) -> Result<(), FailedCall>;

    /// Writes a line to the host's own log, as a warning.
    fn warn(&self, message: &str);
}

/// An answer that no upstream gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    /// HTTP status.
    pub status: u16,
    /// Name and value pairs.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The host's handle of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterId(pub u32);

/// A call that the host did not carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("host call `{call}` failed: {status}")]
pub struct FailedCall {
    /// The ABI's name for it.
    pub call: &'static str,
    /// What the host said.
    pub status: Status,
}

/// The statuses of the proxy-wasm ABI 0.2.1 that are not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Status {
    /// The key, function or stream does not exist.
    #[error("not found")]
    NotFound,
    /// An argument that the host does not accept.
    #[error("bad argument")]
    BadArgument,
    /// The host could not encode its answer.
    #[error("serialization failure")]
    SerializationFailure,
    /// The host could not read an argument.
    #[error("parse failure")]
    ParseFailure,
    /// Nothing there.
    #[error("empty")]
    Empty,
    /// Somebody else wrote first.
    #[error("compare-and-swap mismatch")]
    CasMismatch,
    /// The host failed.
    #[error("internal failure")]
    InternalFailure,
    /// A status that the ABI does not name.
    #[error("unknown status {0}")]
    Unknown(u32),
}

/// A number of the ABI's. It is a failure whatever it is: 0 is none of the host's to call one.
impl From<u32> for Status {
    fn from(number: u32) -> Self {
        match number {
            1 => Status::NotFound,
            2 => Status::BadArgument,
            3 => Status::SerializationFailure,
            4 => Status::ParseFailure,
            7 => Status::Empty,
            8 => Status::CasMismatch,
            10 => Status::InternalFailure,
            other => Status::Unknown(other),
        }
    }
}
