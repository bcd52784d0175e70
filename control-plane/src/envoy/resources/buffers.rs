//! The memory that one connection and one stream may use in Envoy.
//!
//! The bounds together are the budget of docs/running.md, "Memory"; a test checks it on every version.

/// Bytes that Envoy buffers in each direction of a connection before it stops reading from the other side. Envoy's
/// default is 1 MiB, and a client that reads nothing fills several such buffers.
pub(super) const CONNECTION: u32 = 128 << 10;
/// Kibibytes between the two ends of a connection inside Envoy; every tunnel has one.
pub const INTERNAL_KIB: u32 = CONNECTION >> 10;

/// The maximum number of concurrent streams on an HTTP/2 connection, on either side.
pub(super) const STREAMS: u32 = 100;

/// Bytes on a stream that a client may send before its upstream reads them, and bytes of an answer that its client has
/// not read. Clients are near: 256 KiB carry 25 MB/s over 10 ms.
pub(super) const CLIENT_STREAM: u32 = 256 << 10;
/// Bytes on a connection that a client may send before its upstreams read them.
pub(super) const CLIENT_CONNECTION: u32 = 4 << 20;

/// Bytes on a stream that an upstream may send before its client reads them. 4 MiB carry 40 MB/s over 100 ms.
pub(super) const UPSTREAM_STREAM: u32 = 4 << 20;
/// Bytes on a connection that an upstream may send before its clients read them: the windows of all its streams. With a
/// smaller window, clients that read nothing use it up, and every other client of the host waits for them.
pub(super) const UPSTREAM_CONNECTION: u32 = STREAMS * UPSTREAM_STREAM;

/// The maximum number of header fields, and of trailer fields, in a response. Envoy's default of 100 is less than some
/// servers send.
pub(super) const RESPONSE_FIELDS: u32 = 1000;
/// Kibibytes of a response's header fields. Over HTTP/2, curl takes little more than that: eight frames after the first.
pub(super) const RESPONSE_HEADERS_KIB: u32 = 128;

/// Bytes of a request's content that Envoy keeps until the answer begins, to send the request again. A request with more
/// content is not sent again.
pub(super) const RETRIED_CONTENT: u64 = 64 << 10;

/// Requests that Envoy starts for one connection before it serves the others. A client that sends requests and resets
/// them has at most this many in memory at a time. Envoy counts the others as reset before they started, and tolerates
/// [`RESETS`] of them.
pub const REQUESTS_AT_ONCE: u32 = 8;
/// The number of a connection's requests from which on Envoy closes it if the client reset more than half of them
/// early.
pub const RESETS: u32 = 500;
