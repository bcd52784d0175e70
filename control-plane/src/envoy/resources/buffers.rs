//! What one connection and one stream may hold in Envoy's memory.
//!
//! The bounds together are the budget of docs/running.md, "Memory"; a test holds it on every version.

/// Bytes that a connection buffers in each direction before Envoy stops to read from the other side. Envoy's own choice is
/// 1 MiB, which a client that reads nothing takes several times over.
pub(super) const CONNECTION: u32 = 128 << 10;
/// Kibibytes between the two ends of a connection inside of Envoy: a tunnel has one.
pub const INTERNAL_KIB: u32 = CONNECTION >> 10;

/// Streams of one HTTP/2 connection at a time, on either side.
pub(super) const STREAMS: u32 = 100;

/// Bytes that a client may send ahead of its upstream on a stream, and that an answer may hold which the client does not
/// read. Clients are near: 256 KiB bring 25 MB/s over 10 ms.
pub(super) const CLIENT_STREAM: u32 = 256 << 10;
/// Bytes that a client may send ahead of its upstreams on a connection.
pub(super) const CLIENT_CONNECTION: u32 = 4 << 20;

/// Bytes that an upstream may send ahead of its client on a stream. With 4 MiB a stream brings 40 MB/s over 100 ms.
pub(super) const UPSTREAM_STREAM: u32 = 4 << 20;
/// Bytes that an upstream may send ahead of its clients on a connection: the windows of all its streams. With less, clients
/// that read nothing take the whole window, and every other client of the host waits for them.
pub(super) const UPSTREAM_CONNECTION: u32 = STREAMS * UPSTREAM_STREAM;

/// Requests that Envoy begins for one connection before it turns to the others. A client that sends requests and takes them
/// back has no more of them in memory at a time, and Envoy counts the rest as reset before they began, of which it bears
/// [`RESETS`].
pub const REQUESTS_AT_ONCE: u32 = 8;
/// Requests of a connection from which on Envoy closes it when more than half of them were taken back at once.
pub const RESETS: u32 = 500;
