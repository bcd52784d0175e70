//! Calls from the host to the module.

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::calls;

/// The host's next step for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// The host continues with the request.
    Continue = 0,
    /// The host waits with the headers, and delivers the content to the module: Envoy's `StopIteration`. Envoy treats it
    /// as [`Action::Stop`] unless the plugin requests otherwise (`allow_on_headers_stop_iteration`).
    StopHeaders = 1,
    /// The host waits with the headers and all that follows: Envoy's `StopAllIterationAndWatermark`.
    Stop = 4,
}

/// A module's reactions to its host. The host numbers contexts: one for each configuration, and one for each request.
pub trait Filter {
    /// Called after the module was loaded.
    fn started();

    /// Called at the start of a context: one for a configuration if `parent` is 0, else one for a request under that
    /// configuration. Envoy creates the latter when it has the request's headers, and delivers them next, if at all.
    fn created(context: u32, parent: u32);

    /// Called when a configuration's context gets its bytes. Returning false rejects them.
    fn configured(context: u32, configuration: Vec<u8>) -> bool;

    /// Called with the headers of a request. `is_end` tells that nothing follows them.
    fn request_headers(context: u32, is_end: bool) -> Action;

    /// Called with a piece of a request's content, or with its trailers, which are its end. Returning false drops the piece.
    /// Returning true forwards it, and also the headers if the host still waits with them.
    fn request_content(context: u32, is_end: bool) -> bool;

    /// Called with the trailers of a response. Returning false holds back the trailers, and with them the end of the
    /// response.
    fn response_trailers() -> bool;

    /// Called at the end of a context.
    fn deleted(context: u32);
}

/// Exports a [`Filter`] to the host.
#[macro_export]
macro_rules! export {
    ($filter:ty) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn _initialize() {
                $crate::initialize();
                <$filter as $crate::Filter>::started();
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_abi_version_0_2_1() {}

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
                <$filter as $crate::Filter>::created(context, parent);
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_configure(context: u32, size: usize) -> bool {
                <$filter as $crate::Filter>::configured(context, $crate::configuration(size))
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_request_headers(context: u32, _: u32, end: u32) -> $crate::Action {
                <$filter as $crate::Filter>::request_headers(context, end != 0)
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_request_body(context: u32, _: u32, end: u32) -> u32 {
                // `FilterDataStatus`: 0 continues, 3 stops and keeps nothing.
                if <$filter as $crate::Filter>::request_content(context, end != 0) { 0 } else { 3 }
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_request_trailers(context: u32, _: u32) -> u32 {
                // `FilterTrailersStatus`: 0 continues, 1 stops.
                u32::from(!<$filter as $crate::Filter>::request_content(context, true))
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_response_trailers(_: u32, _: u32) -> u32 {
                // `FilterTrailersStatus`: 0 continues, 1 stops.
                u32::from(!<$filter as $crate::Filter>::response_trailers())
            }

            #[unsafe(no_mangle)]
            extern "C" fn proxy_on_delete(context: u32) {
                <$filter as $crate::Filter>::deleted(context);
            }
        };
    };
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs the initialisers that must precede all other code of a module.
#[doc(hidden)]
pub fn initialize() {
    // SAFETY: the linker's own function, called once, by `_initialize`, which the host calls once.
    unsafe { __wasm_call_ctors() };
    std::panic::set_hook(Box::new(|panic| calls::warn(&panic.to_string())));
}

/// Returns the configuration of this size. If the host does not provide it, the result is empty, which is just as
/// invalid.
#[doc(hidden)]
pub fn configuration(size: usize) -> Vec<u8> {
    calls::plugin_configuration(size).unwrap_or_default()
}

/// Allocates memory that the host fills and then hands over.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let Some(layout) = Layout::array::<u8>(size).ok().filter(|layout| layout.size() > 0) else {
        return NonNull::dangling().as_ptr();
    };
    // SAFETY: the size is not 0.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory
}
