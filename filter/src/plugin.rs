//! The one file that knows the proxy-wasm SDK.
//!
//! It calls the SDK's free functions for bytes and nothing else: the string getters, the traits' among them, panic on
//! a byte that is not UTF-8. `clippy.toml` keeps it so. Header names are text here because Envoy's codecs refuse a
//! name that is not an HTTP token.

use crate::configuration::Configuration;
use crate::hostcalls::{CounterId, FailedCall, Header, Hostcalls, LocalResponse, Status};
use crate::judge::{Instance, Judge, Verdict};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};
use proxy_wasm::{hostcalls, types};
use std::rc::Rc;

thread_local! {
    /// Envoy runs one instance of the module on each worker, for all its configurations.
    static INSTANCE: Rc<Instance> = Rc::default();
}

/// Counts, so that an evaluation can be ended before memory is. A limit of its own would trap.
#[cfg(feature = "rego")]
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

proxy_wasm::main! {{
    #[cfg(feature = "rego")]
    weir_rego::count_memory(|| ALLOCATOR.allocated());
    // Also makes a panic leave its message in Envoy's log.
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Plugin { judge: judge(None) }));
}}

fn judge(configuration: Option<Configuration>) -> Rc<Judge> {
    Rc::new(Judge::new(configuration, INSTANCE.with(Rc::clone)))
}

/// One configuration of the filter.
struct Plugin {
    judge: Rc<Judge>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    /// False refuses the update, and the configuration before it stays.
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten();
        match Configuration::try_from(bytes.unwrap_or_default()) {
            Ok(configuration) => {
                self.judge = judge(Some(configuration));
                true
            }
            Err(invalid) => {
                Envoy.warn(&invalid.to_string());
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { judge: Rc::clone(&self.judge), verdict: Verdict::Stop }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One request.
struct Stream {
    judge: Rc<Judge>,
    verdict: Verdict,
}

impl Stream {
    fn action(&self) -> Action {
        match self.verdict {
            Verdict::Continue => Action::Continue,
            Verdict::Stop => Action::Pause,
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.verdict = self.judge.judge(&Envoy);
        self.action()
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.action()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.action()
    }
}

/// The stream that Envoy is calling us for.
struct Envoy;

impl Hostcalls for Envoy {
    fn request_headers(&self) -> Result<Vec<Header>, FailedCall> {
        let pairs =
            hostcalls::get_map_bytes(MapType::HttpRequestHeaders).map_err(failed("get_header_map_pairs"))?;
        Ok(pairs.into_iter().map(|(name, value)| Header { name, value }).collect())
    }

    fn set_request_header(&self, name: &str, value: &[u8]) -> Result<(), FailedCall> {
        hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value))
            .map_err(failed("replace_header_map_value"))
    }

    fn remove_request_header(&self, name: &str) -> Result<(), FailedCall> {
        hostcalls::remove_map_value(MapType::HttpRequestHeaders, name)
            .map_err(failed("remove_header_map_value"))
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, FailedCall> {
        let value = hostcalls::get_property(path.to_vec()).map_err(failed("get_property"))?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn set_property(&self, key: &str, value: &[u8]) -> Result<(), FailedCall> {
        hostcalls::set_property(vec![key], Some(value)).map_err(failed("set_property"))
    }

    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), FailedCall> {
        hostcalls::call_foreign_function(name, Some(argument)).map_err(failed("call_foreign_function"))?;
        Ok(())
    }

    fn send_local_response(&self, response: &LocalResponse) -> Result<(), FailedCall> {
        let LocalResponse { status, headers, body } = response;
        let headers = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        hostcalls::send_http_response(u32::from(*status), headers, Some(body))
            .map_err(failed("send_local_response"))
    }

    fn define_counter(&self, name: &str) -> Result<CounterId, FailedCall> {
        hostcalls::define_metric(MetricType::Counter, name).map(CounterId).map_err(failed("define_metric"))
    }

    fn increment_counter(&self, CounterId(id): CounterId) -> Result<(), FailedCall> {
        hostcalls::increment_metric(id, 1).map_err(failed("increment_metric"))
    }

    fn warn(&self, message: &str) {
        // Where the log cannot be written, nobody can be told.
        let _ = hostcalls::log(LogLevel::Warn, message);
    }
}

fn failed(call: &'static str) -> impl FnOnce(types::Status) -> FailedCall {
    move |status| {
        let status = match status {
            types::Status::NotFound => Status::NotFound,
            types::Status::BadArgument => Status::BadArgument,
            types::Status::SerializationFailure => Status::SerializationFailure,
            types::Status::ParseFailure => Status::ParseFailure,
            types::Status::Empty => Status::Empty,
            types::Status::CasMismatch => Status::CasMismatch,
            types::Status::InternalFailure => Status::InternalFailure,
            other @ types::Status::Ok | other => Status::Unknown(other as u32),
        };
        FailedCall { call, status }
    }
}
