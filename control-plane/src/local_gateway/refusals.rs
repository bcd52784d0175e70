//! Reports on stderr of work that Envoy refuses because it is at a limit of its machine.

use std::time::Duration;

use crate::envoy::capacity::MORE_OPEN_FILES;
use crate::local_gateway::envoy::admin::Admin;

/// The interval at which Envoy is queried. Refusals in between make one line.
const INTERVAL: Duration = Duration::from_secs(5);

/// The counts of Envoy's refusals so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Refused {
    /// Client connections beyond the limit.
    connections: u64,
    /// Client connections that arrived while the heap was near its limit.
    connections_for_memory: u64,
    /// Requests that arrived while the heap was near its limit.
    requests: u64,
    /// Streams that Envoy ended because they held much memory.
    streams: u64,
    /// Connections to upstreams beyond a cluster's limit.
    upstream_connections: u64,
}

/// Suffixes of the statistics' names.
const CONNECTIONS: &str = "downstream_global_cx_overflow";
const CONNECTIONS_FOR_MEMORY: &str = "downstream_cx_overload_reject";
const REQUESTS: &str = "downstream_rq_overload_close";
const STREAMS: &str = "reset_high_memory_stream.count";
const UPSTREAM_CONNECTIONS: &str = "upstream_cx_overflow";

impl Refused {
    fn from_statistics(statistics: &[(String, u64)]) -> Self {
        let all = |name: &str| {
            let counted = statistics.iter().filter(|(found, _)| found.ends_with(name));
            counted.map(|(_, count)| count).sum()
        };
        Self {
            connections: all(CONNECTIONS),
            connections_for_memory: all(CONNECTIONS_FOR_MEMORY),
            requests: all(REQUESTS),
            streams: all(STREAMS),
            upstream_connections: all(UPSTREAM_CONNECTIONS),
        }
    }

    /// Returns a line and advice for each count that has grown.
    fn since(self, before: Self) -> Vec<(String, &'static str)> {
        let memory =
            "give Envoy more memory with `--envoy-memory`, or look for a client that reads no answers";
        let kinds = [
            (
                self.connections,
                before.connections,
                "connections of clients closed: the limit is reached",
                MORE_OPEN_FILES,
            ),
            (
                self.connections_for_memory,
                before.connections_for_memory,
                "connections of clients closed: Envoy is short of memory",
                memory,
            ),
            (self.requests, before.requests, "requests refused: Envoy is short of memory", memory),
            (
                self.streams,
                before.streams,
                "requests with much memory reset: Envoy is short of memory",
                memory,
            ),
            (
                self.upstream_connections,
                before.upstream_connections,
                "times no connection to an upstream was free: the limit is reached",
                MORE_OPEN_FILES,
            ),
        ];
        let grown = kinds.into_iter().filter(|(now, before, ..)| now > before);
        grown.map(|(now, before, what, help)| (format!("{} {what}", now - before), help)).collect()
    }
}

/// Reports Envoy's refusals for as long as it runs.
pub(crate) async fn watch(admin: Admin) {
    let mut before = Refused::default();
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        // Another part of Weir reports an Envoy that does not answer.
        let names = [CONNECTIONS, CONNECTIONS_FOR_MEMORY, REQUESTS, STREAMS, UPSTREAM_CONNECTIONS];
        if let Ok(statistics) = admin.statistics(&names).await {
            let refused = Refused::from_statistics(&statistics);
            for (what, help) in refused.since(before) {
                tracing::warn!(help, "{what}");
            }
            before = refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(statistics: &[(&str, u64)]) -> Refused {
        let statistics: Vec<_> =
            statistics.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Refused::from_statistics(&statistics)
    }

    #[test]
    fn what_listeners_and_clusters_count_is_added_up() {
        let counted = refused(&[
            ("listener.127.0.0.1_15001.downstream_global_cx_overflow", 3),
            ("listener.127.0.0.1_15002.downstream_global_cx_overflow", 4),
            ("http.explicit.downstream_rq_overload_close", 5),
            ("envoy.overload_actions.reset_high_memory_stream.count", 6),
            ("cluster.weir_https.upstream_cx_overflow", 7),
            ("cluster.weir_https.upstream_cx_total", 8),
        ]);
        let expected = Refused {
            connections: 7,
            requests: 5,
            streams: 6,
            upstream_connections: 7,
            ..Refused::default()
        };
        assert_eq!(counted, expected);
    }

    #[test]
    fn only_what_grew_is_said() {
        let before = Refused { connections: 3, requests: 5, ..Refused::default() };
        assert_eq!(before.since(before), []);
        let lines = Refused { connections: 10, ..before }.since(before);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].0.starts_with("7 connections of clients closed"), "{lines:?}");
    }
}
