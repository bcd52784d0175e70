//! The idle limits of connections and streams. Their lifetimes have no other limit.

use std::time::Duration;

/// Idle limits. Each byte, in either direction, restarts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The limit of a client's connection, or of a tunnel, without a request under way. It is above the 90 s for which
    /// most clients keep connections: they close first, so that a request does not meet a connection that is being
    /// closed.
    pub connection: Duration,
    /// The limit of a request, its answer, or an upgraded stream.
    pub stream: Duration,
}

impl Timeouts {
    /// The default limits: two minutes and ten minutes.
    pub const DEFAULT: Self = Self { connection: Duration::from_secs(120), stream: Duration::from_secs(600) };

    /// The limit of a CONNECT on the outer listener. The inner connection always ends first, so that it can still
    /// answer with the reason.
    pub(super) fn tunnel(self) -> Duration {
        self.stream.saturating_add(self.connection)
    }
}
