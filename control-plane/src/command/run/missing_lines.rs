//! Decisions without a line. Envoy counts its decisions and its log entries, and Weir counts the entries that arrive.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::output::Output;
use crate::decision_log::server::DecisionLog;
use crate::decision_log::{Arrived, Lines};
use crate::envoy::resources::decision_log::OPEN_AFTER;
use crate::envoy::resources::names;
use crate::local_gateway::envoy::admin::Admin;

/// The interval at which Envoy's counters are read while decisions arrive.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which Envoy's counters are read at the end.
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);
/// The maximum wait for the last lines. A request that has just begun gets its line when the log reports it as open.
const SETTLE_WITHIN: Duration = OPEN_AFTER.saturating_add(Duration::from_secs(2));

/// The maximum wait until the policy that denies everything is in force.
const DENIED_WITHIN: Duration = Duration::from_millis(100);

/// Names, or prefixes of names, of Envoy's statistics.
const WRITTEN: &str = "access_logs.grpc_access_log.logs_written";
const DROPPED: &str = "access_logs.grpc_access_log.logs_dropped";
const LET_OUT: &str = "wasmcustom.weir_decisions.effect.allow";
const TUNNELS: &str = "wasmcustom.weir_tunnels";

/// Envoy's counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    /// Entries of its access log.
    written: u64,
    /// Entries that did not fit into the access log's buffer.
    dropped: u64,
    /// Requests and tunnels that the filter allowed.
    let_out: u64,
    /// Tunnels that have not ended. They have no line of their own; the requests inside them have.
    tunnels: u64,
}

impl Counted {
    async fn read(admin: &Admin) -> io::Result<Self> {
        let names = [WRITTEN, DROPPED, LET_OUT, TUNNELS, &open_tunnels()];
        Ok(Self::from_statistics(&admin.statistics(&names).await?))
    }

    fn from_statistics(statistics: &[(String, u64)]) -> Self {
        let mut counted = Self::default();
        for (name, value) in statistics {
            match name.as_str() {
                WRITTEN => counted.written += value,
                DROPPED => counted.dropped += value,
                _ if name.starts_with(LET_OUT) || name == TUNNELS => counted.let_out += value,
                _ if *name == open_tunnels() => counted.tunnels += value,
                _ => {}
            }
        }
        counted
    }

    /// Returns the number of allowed requests that have neither a last line nor a line that says that they are open.
    fn without_line(&self, arrived: &Arrived) -> u64 {
        self.let_out.saturating_sub(arrived.let_out.saturating_add(arrived.open).saturating_add(self.tunnels))
    }
}

fn open_tunnels() -> String {
    format!("cluster.{}.upstream_rq_active", names::INTERCEPT_CLUSTER)
}

/// Looks for missing lines, and reports them.
#[derive(Debug, Clone)]
pub(super) struct MissingLines {
    log: DecisionLog,
    admin: Admin,
    /// Dropped entries that have been reported.
    dropped: Arc<AtomicU64>,
}

impl MissingLines {
    pub(super) fn new(log: DecisionLog, admin: Admin) -> Self {
        Self { log, admin, dropped: Arc::default() }
    }

    /// Watches for as long as the future runs. It reads the counters only while Envoy makes decisions.
    pub(super) async fn watch(self) {
        let mut seen = 0;
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let entries = self.log.arrived().entries;
            if entries != seen {
                seen = entries;
                // Another part of Weir reports an Envoy that has ended.
                if let Ok(counted) = Counted::read(&self.admin).await {
                    self.tell_dropped(&counted);
                }
            }
        }
    }

    /// Prints the remaining lines until every request has one. It must be called when no more requests are allowed:
    /// Weir denies the requests of a client that continues, and waits for those denials no longer than for earlier
    /// ones.
    pub(super) async fn settle(self, lines: &mut Lines, output: &mut Output) {
        let begun = Instant::now();
        let mut first: Option<u64> = None;
        let mut let_out = None;
        loop {
            let counted = Counted::read(&self.admin).await;
            for line in lines.rest() {
                output.line(&line);
            }
            let arrived = self.log.arrived();
            let is_over = begun.elapsed() >= SETTLE_WITHIN;
            match counted {
                Ok(counted) => {
                    let written = *first.get_or_insert(counted.written);
                    // The policy that denies everything reaches all workers a moment later.
                    let is_quiet = let_out.replace(counted.let_out) == Some(counted.let_out)
                        && begun.elapsed() >= DENIED_WITHIN;
                    let is_settled =
                        is_quiet && arrived.entries >= written && counted.without_line(&arrived) == 0;
                    if is_over || is_settled {
                        self.tell_dropped(&counted);
                        tell_missing(&counted, written, &arrived);
                        break;
                    }
                }
                Err(_) if is_over => break,
                Err(_) => {}
            }
            tokio::time::sleep(SETTLE_INTERVAL).await;
        }
        for line in lines.rest() {
            output.line(&line);
        }
    }

    fn tell_dropped(&self, counted: &Counted) {
        let told = self.dropped.swap(counted.dropped, Ordering::Relaxed);
        let dropped = counted.dropped.saturating_sub(told);
        if dropped > 0 {
            tracing::error!(dropped, "decisions have no line: Envoy's buffer for the decision log was full");
        }
    }
}

/// Reports lines that will not arrive any more.
fn tell_missing(counted: &Counted, written: u64, arrived: &Arrived) {
    let without_line = counted.without_line(arrived);
    if without_line > 0 {
        tracing::error!(without_line, "requests that the policy allowed have no line in the decision log");
    }
    let lost = written.saturating_sub(arrived.entries);
    if lost > 0 {
        tracing::error!(lost, "decisions have no line: they did not arrive from Envoy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(statistics: &[(&str, u64)]) -> Counted {
        let statistics: Vec<_> =
            statistics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Counted::from_statistics(&statistics)
    }

    #[test]
    fn statistics_are_added_up() {
        let counted = counted(&[
            ("access_logs.grpc_access_log.logs_written", 10),
            ("access_logs.grpc_access_log.logs_dropped", 3),
            ("wasmcustom.weir_decisions.effect.allow.reason.allowed", 4),
            ("wasmcustom.weir_decisions.effect.allow.reason.open_mode", 1),
            ("wasmcustom.weir_decisions.effect.deny.reason.host_not_allowed", 9),
            ("wasmcustom.weir_tunnels", 2),
            ("cluster.weir_intercept.upstream_rq_active", 1),
            ("cluster.weir_intercept.upstream_rq_active_overflow", 9),
        ]);
        assert_eq!(counted, Counted { written: 10, dropped: 3, let_out: 7, tunnels: 1 });
    }

    #[test]
    fn a_request_has_a_line_when_it_has_ended_or_is_known_to_be_open() {
        let counted = Counted { written: 10, dropped: 0, let_out: 8, tunnels: 2 };
        let arrived = Arrived { entries: 10, let_out: 5, open: 1 };
        assert_eq!(counted.without_line(&arrived), 0);
        assert_eq!(counted.without_line(&Arrived { open: 0, ..arrived }), 1);
        assert_eq!(counted.without_line(&Arrived { let_out: 4, ..arrived }), 1);
        assert_eq!(counted.without_line(&Arrived { let_out: 9, ..arrived }), 0, "counted a moment before");
    }
}
