//! Calls from the host to the module.

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::calls;

/// What the host does next with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// Goes on with it.
    Continue = 0,
    /// Waits, with all that follows the headers: Envoy's `StopAllIterationAndWatermark`. Envoy takes the ABI's own
    /// pause (1) for the same, unless a plugin asks otherwise (`allow_on_headers_stop_iteration`).
    Stop = 4,
}

/// A module's answers to its host. Contexts are the host's numbers: one for each configuration, and one for each request.
pub trait Filter {
    /// The module was loaded.
    fn started();

    /// A context begins: one for a configuration if `parent` is 0, else one for a request that is under that
    /// configuration. Envoy creates the latter when the headers of the request are there, and tells of them next, if at all.
    fn created(context: u32, parent: u32);

    /// A context for a configuration is given it. False refuses it.
    fn configured(context: u32, configuration: Vec<u8>) -> bool;

    /// The headers of a request are there.
    fn request_headers(context: u32) -> Action;

    /// The trailers of a response are there. False holds them back, and the end of the response with them.
    fn response_trailers() -> bool;

    /// A context ended.
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
            extern "C" fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> $crate::Action {
                <$filter as $crate::Filter>::request_headers(context)
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

/// What must run before anything else of a module.
#[doc(hidden)]
pub fn initialize() {
    // SAFETY: the linker's own function, called once, by `_initialize`, which the host calls once.
    unsafe { __wasm_call_ctors() };
    std::panic::set_hook(Box::new(|panic| calls::warn(&panic.to_string())));
}

/// The configuration of this size; none, where the host does not give it, is as bad as an empty one.
#[doc(hidden)]
pub fn configuration(size: usize) -> Vec<u8> {
    calls::plugin_configuration(size).unwrap_or_default()
}

/// Memory that the host writes to and then gives away.
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
