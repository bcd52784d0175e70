//! The binding to Envoy.

use weir_abi::{Action, Filter};

use crate::decisions;

weir_abi::export!(Plugin);

struct Plugin;

impl Filter for Plugin {
    fn started() {}

    fn created(_: u32, _: u32) {}

    fn configured(_: u32, configuration: Vec<u8>) -> bool {
        if !configuration.is_empty() {
            let said = decisions::measure(configuration).unwrap_or_else(|| "malformed".to_owned());
            weir_abi::warn(&format!("bench: {said}"));
        }
        true
    }

    fn request_headers(_: u32, _: bool) -> Action {
        Action::Continue
    }

    fn request_content(_: u32, _: bool) -> bool {
        true
    }

    fn response_trailers() -> bool {
        true
    }

    fn deleted(_: u32) {}
}
