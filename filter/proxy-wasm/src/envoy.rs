//! The host of the stream that Envoy is calling the module for.

use crate::filter_state;
use crate::header_map::{self, HeaderMap};
use crate::{held_responses, status};
use std::cell::Cell;
use weir_contract::filter_state::WASM_PREFIX;
use weir_filter::hostcalls::{CounterId, FailedCall, Hostcalls, LocalResponse};

/// The host of one stream. Calls apply to the stream that Envoy is calling the module for.
#[derive(Default)]
pub(crate) struct Envoy {
    /// The stream's context, by Envoy's number.
    pub(crate) context: u32,
    /// Keeps the response until the request's content has arrived, where that is necessary.
    pub(crate) held: Cell<Option<LocalResponse>>,
    /// Whether content follows the headers.
    pub(crate) has_content: bool,
}

impl Hostcalls for Envoy {
    type RequestHeaders = HeaderMap;

    fn request_headers(&self) -> Result<HeaderMap, FailedCall> {
        weir_abi::request_headers().map(HeaderMap::from).map_err(failed("get_header_map_pairs"))
    }

    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall> {
        weir_abi::set_request_header(name.as_bytes(), value).map_err(failed("replace_header_map_value"))
    }

    fn remove_request_header(&self, name: &[u8]) -> Result<(), FailedCall> {
        weir_abi::remove_request_header(name).map_err(failed("remove_header_map_value"))
    }

    /// Envoy stores a property as a filter state, and puts a prefix before its name. Its own filter states hold objects,
    /// and a foreign function makes one from the value.
    fn set_filter_state(&self, key: &str, value: &[u8]) -> Result<(), FailedCall> {
        if let Some(property) = key.strip_prefix(WASM_PREFIX) {
            return weir_abi::set_property(property.as_bytes(), value).map_err(failed("set_property"));
        }
        let argument = filter_state::encode(key, value);
        weir_abi::call_foreign_function(filter_state::FUNCTION.as_bytes(), &argument)
            .map_err(failed("call_foreign_function"))?;
        Ok(())
    }

    fn connection_id(&self) -> Result<u64, FailedCall> {
        let id = weir_abi::property(b"connection\0id").map_err(failed("get_property"))?;
        let id = <[u8; 8]>::try_from(id).map_err(|_| FailedCall {
            call: "get_property",
            cause: "the connection's id has no 64 bits".into(),
        })?;
        Ok(u64::from_le_bytes(id))
    }

    fn monotonic_time(&self) -> Result<u64, FailedCall> {
        weir_abi::monotonic_time().map_err(failed("clock_time_get"))
    }

    fn request_id(&self) -> u32 {
        self.context
    }

    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall> {
        if self.has_content && held_responses::waits(|name| weir_abi::request_header(name).ok(), protocol) {
            self.held.set(Some(response.clone()));
            return Ok(());
        }
        send(response)
    }

    fn increment_counter(&self, CounterId(id): CounterId) -> Result<(), FailedCall> {
        weir_abi::increment_counter(id).map_err(failed("increment_metric"))
    }

    fn warn(&self, message: &str) {
        weir_abi::warn(message);
    }
}

/// Responds to the stream that Envoy is calling the module for.
pub(crate) fn send(response: &LocalResponse) -> Result<(), FailedCall> {
    let LocalResponse { status, headers, body } = response;
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    weir_abi::send_local_response(u32::from(*status), &header_map::encode(&headers), body)
        .map_err(failed("send_local_response"))
}

/// Returns the version of HTTP that the client speaks.
fn protocol() -> Option<Vec<u8>> {
    weir_abi::property(b"request\0protocol").ok()
}

fn failed(call: &'static str) -> impl FnOnce(weir_abi::Status) -> FailedCall {
    move |status| FailedCall { call, cause: status::text(status) }
}
