//! Calls from the module to its host.

use std::ptr::null_mut;

/// The host's status for a call that failed, by the ABI's numbers; never 0.
pub type Status = u32;

/// `proxy_map_type_t`: the request's headers.
const REQUEST_HEADERS: u32 = 0;
/// `proxy_map_type_t`: the trailers of the response.
const RESPONSE_TRAILERS: u32 = 3;
/// `proxy_buffer_type_t`: the plugin's configuration.
const PLUGIN_CONFIGURATION: u32 = 7;
/// `proxy_metric_type_t`: a counter.
const COUNTER: u32 = 0;
/// `proxy_log_level_t`: a warning.
const WARNING: u32 = 3;
/// `clockid` of WASI: a clock that never goes back.
const MONOTONIC_CLOCK: u32 = 1;
/// The value for a response without a gRPC status.
const NO_GRPC_STATUS: i32 = -1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        limit: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// Returns all request headers: their number, then the sizes of each name and value, then each name and value
/// followed by a zero byte. Numbers have four bytes, little-endian.
///
/// # Errors
/// The host's status.
pub fn request_headers() -> Result<Vec<u8>, Status> {
    // SAFETY: the host writes to both, which live as long as the call.
    returned(|data, size| unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, data, size) })
}

/// Returns the value of a request header.
///
/// # Errors
/// The host's status, also for a header that the request does not have.
pub fn request_header(name: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: the host reads the slice, and writes to both pointers, during the call.
    returned(|data, size| unsafe {
        proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, size)
    })
}

/// Sets a request header to one value.
///
/// # Errors
/// The host's status.
pub fn set_request_header(name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads both slices during the call.
    done(unsafe {
        proxy_replace_header_map_value(
            REQUEST_HEADERS,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes every value of a request header.
///
/// # Errors
/// The host's status.
pub fn remove_request_header(name: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads the slice during the call.
    done(unsafe { proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) })
}

/// Removes every value of a response trailer.
///
/// # Errors
/// The host's status.
pub fn remove_response_trailer(name: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads the slice during the call.
    done(unsafe { proxy_remove_header_map_value(RESPONSE_TRAILERS, name.as_ptr(), name.len()) })
}

/// Returns a property. Zero bytes separate the parts of its path.
///
/// # Errors
/// The host's status.
pub fn property(path: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: the host reads the slice, and writes to both pointers, during the call.
    returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a property.
///
/// # Errors
/// The host's status.
pub fn set_property(path: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: the host reads both slices during the call.
    done(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Returns the nanoseconds since a moment in the past, by a clock that never goes back.
///
/// # Errors
/// The host's status.
pub fn monotonic_time() -> Result<u64, Status> {
    let mut time = 0;
    // SAFETY: the host writes to the number during the call.
    done(unsafe { clock_time_get(MONOTONIC_CLOCK, 0, &raw mut time) })?;
    Ok(time)
}

/// Calls a function that the host offers beyond the ABI.
///
/// # Errors
/// The host's status.
pub fn call_foreign_function(name: &[u8], argument: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: the host reads both slices, and writes to both pointers, during the call.
    returned(|data, size| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), argument.as_ptr(), argument.len(), data, size)
    })
}

/// Responds to the request. `headers` has the form of [`request_headers`].
///
/// # Errors
/// The host's status.
pub fn send_local_response(status: u32, headers: &[u8], body: &[u8]) -> Result<(), Status> {
    let details: &[u8] = &[];
    // SAFETY: the host reads all slices during the call.
    done(unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// Returns the nanoseconds since 1970.
///
/// # Errors
/// The host's status.
pub fn time() -> Result<u64, Status> {
    let mut time = 0;
    // SAFETY: the host writes to the number during the call.
    done(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// Defines a counter, or finds the one with this name, and returns its number.
///
/// # Errors
/// The host's status.
pub fn define_counter(name: &[u8]) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: the host reads the slice, and writes to the number, during the call.
    done(unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds one to a counter.
///
/// # Errors
/// The host's status.
pub fn increment_counter(id: u32) -> Result<(), Status> {
    // SAFETY: the call passes only numbers.
    done(unsafe { proxy_increment_metric(id, 1) })
}

/// Writes a warning to the host's log. A failure to write cannot be reported.
pub fn warn(message: &str) {
    // SAFETY: the host reads the text during the call.
    let _ = unsafe { proxy_log(WARNING, message.as_ptr(), message.len()) };
}

/// Returns the plugin's configuration, up to this many bytes.
pub(crate) fn plugin_configuration(limit: usize) -> Result<Vec<u8>, Status> {
    // SAFETY: the host writes to both pointers during the call.
    returned(|data, size| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, limit, data, size) })
}

fn done(status: Status) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(status) }
}

/// Takes the bytes that a call returns. A null pointer counts as no bytes.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> Status) -> Result<Vec<u8>, Status> {
    let (mut data, mut size) = (null_mut(), 0);
    done(call(&raw mut data, &raw mut size))?;
    if data.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the host asked `proxy_on_memory_allocate` for exactly this size, has written all of it, and gives it away.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}
