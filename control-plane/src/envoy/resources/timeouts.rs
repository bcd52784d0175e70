//! How long connections and streams may be silent. Nothing else bounds their lives.

use std::time::Duration;

/// Limits of silence. Every one is counted anew with each byte, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Of a client's connection, or of a tunnel, in which no request is under way. Above the 90 s that most clients
    /// keep connections for, so that they close first and no request meets a connection that is just being closed.
    pub connection: Duration,
    /// Of a request, its answer, or what either was upgraded to.
    pub stream: Duration,
}

impl Timeouts {
    /// Two minutes, and ten.
    pub const DEFAULT: Self = Self { connection: Duration::from_secs(120), stream: Duration::from_secs(600) };

    /// Of a CONNECT, seen from outside: what is inside always ends first, and can still say why.
    pub(super) fn tunnel(self) -> Duration {
        self.stream.saturating_add(self.connection)
    }
}
