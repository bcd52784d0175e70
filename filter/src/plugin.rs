//! The one file that knows proxy-wasm: what Envoy asks of the filter, and what the filter asks of Envoy.

use crate::configuration::Configuration;
use crate::header_map::{self, HeaderMap};
use crate::hostcalls::{CounterId, FailedCall, Hostcalls, LocalResponse, Status};
use crate::judge::{Instance, Judge, Verdict};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use weir_abi::{Action, Filter};

/// Response trailers that no upstream may send, as with response headers (`control-plane/src/envoy/resources/route.rs`): a
/// client may take trailers for headers (RFC 9110, 6.5.1).
const RESPONSE_TRAILERS_REMOVED: [&[u8]; 2] = [b"alt-svc", b"x-weir-decision"];

thread_local! {
    /// Envoy runs one instance of the module on each worker, for all its configurations.
    static INSTANCE: Rc<Instance> = Rc::default();
    /// The judges of the configurations.
    static JUDGES: RefCell<BTreeMap<u32, Rc<Judge>>> = const { RefCell::new(BTreeMap::new()) };
    /// The request that began last and the configuration that it is under. No request is kept longer: one that is let
    /// go on is none of ours any more, and one that is stopped goes nowhere, nor does what follows its headers.
    static LAST: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// Counts, so that an evaluation can be ended before memory is. A limit of its own would trap.
#[cfg(feature = "rego")]
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

weir_abi::export!(Plugin);

struct Plugin;

impl Filter for Plugin {
    fn started() {
        #[cfg(feature = "rego")]
        weir_rego::count_memory(|| ALLOCATOR.allocated());
    }

    fn created(context: u32, parent: u32) {
        if parent == 0 {
            JUDGES.with_borrow_mut(|judges| judges.insert(context, judge(None)));
        } else {
            LAST.set((context, parent));
        }
    }

    /// False refuses the update, and the configuration before it stays.
    fn configured(context: u32, configuration: Vec<u8>) -> bool {
        match Configuration::try_from(configuration) {
            Ok(configuration) => {
                let judge = judge(Some(configuration));
                JUDGES.with_borrow_mut(|judges| judges.insert(context, judge));
                true
            }
            Err(invalid) => {
                Envoy.warn(&invalid.to_string());
                false
            }
        }
    }

    fn request_headers(context: u32) -> Action {
        let (last, parent) = LAST.get();
        // Nothing is borrowed while the request is judged: Envoy may call the filter from within a call of the filter's.
        let known = JUDGES.with_borrow(|judges| judges.get(&parent).filter(|_| last == context).cloned());
        match known.unwrap_or_else(|| judge(None)).judge(&Envoy) {
            Verdict::Continue => Action::Continue,
            Verdict::Stop => Action::Stop,
        }
    }

    /// Envoy's routes remove response headers, and cannot remove trailers.
    fn response_trailers() -> bool {
        RESPONSE_TRAILERS_REMOVED.iter().all(|name| weir_abi::remove_response_trailer(name).is_ok())
    }

    fn deleted(context: u32) {
        JUDGES.with_borrow_mut(|judges| judges.remove(&context));
    }
}

fn judge(configuration: Option<Configuration>) -> Rc<Judge> {
    Rc::new(Judge::new(configuration, INSTANCE.with(Rc::clone)))
}

/// The stream that Envoy is calling us for.
struct Envoy;

impl Hostcalls for Envoy {
    fn request_headers(&self) -> Result<HeaderMap, FailedCall> {
        weir_abi::request_headers().map(HeaderMap::from).map_err(failed("get_header_map_pairs"))
    }

    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall> {
        weir_abi::set_request_header(name.as_bytes(), value).map_err(failed("replace_header_map_value"))
    }

    fn remove_request_header(&self, name: &[u8]) -> Result<(), FailedCall> {
        weir_abi::remove_request_header(name).map_err(failed("remove_header_map_value"))
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), FailedCall> {
        weir_abi::set_property(key.as_bytes(), value).map_err(failed("set_property"))
    }

    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), FailedCall> {
        weir_abi::call_foreign_function(name.as_bytes(), argument)
            .map_err(failed("call_foreign_function"))?;
        Ok(())
    }

    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall> {
        let LocalResponse { status, headers, body } = response;
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        weir_abi::send_local_response(u32::from(*status), &header_map::encode(&headers), body)
            .map_err(failed("send_local_response"))
    }

    fn define_counter(&self, name: &str) -> Result<CounterId, FailedCall> {
        weir_abi::define_counter(name.as_bytes()).map(CounterId).map_err(failed("define_metric"))
    }

    fn increment_counter(&self, CounterId(id): CounterId) -> Result<(), FailedCall> {
        weir_abi::increment_counter(id).map_err(failed("increment_metric"))
    }

    fn warn(&self, message: &str) {
        weir_abi::warn(message);
    }
}

fn failed(call: &'static str) -> impl FnOnce(weir_abi::Status) -> FailedCall {
    move |status| FailedCall { call, status: Status::from(status) }
}
