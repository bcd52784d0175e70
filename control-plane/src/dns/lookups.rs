//! Lookups of names: one lookup for both families, whose result is kept for a while.
//!
//! One lookup gets both families, because the selection for one family depends on the other's addresses. A lookup ends
//! within [`WITHIN`], and every question for its name waits for it. A failure is kept for a second, so that it passes
//! soon after its cause. If a name's name servers do not answer, the time doubles with each failure, and questions fail
//! at once meanwhile.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use weir_policy::Host;

use super::name_servers::{LookupError, NameServers, WITHIN};
use super::turns::Turns;

/// The maximum number of names: the same as in Envoy's own cache.
const MOST_NAMES: usize = 16_384;
/// The minimum time for which a result is kept, so that Envoy's two questions for a name get the same result.
const KEPT_AT_LEAST: Duration = Duration::from_secs(5);
/// The maximum time for which a result is kept, so that an edit of the policy soon reaches Envoy's cache.
const KEPT_AT_MOST: Duration = Duration::from_secs(60);
/// The time for which a failure is kept.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// The maximum number of doublings of that time while the name servers do not answer: up to 16 seconds.
const MOST_DOUBLINGS: u32 = 4;

/// The result of a lookup, and the time at which it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Addresses of both families, in the servers' order.
    Addresses { addresses: Vec<IpAddr>, until: Instant },
    /// The name does not exist, or has no address.
    Nothing { until: Instant },
    /// No name server had an answer. `silences` counts the consecutive lookups without an answer.
    Failed { until: Instant, silences: u32 },
}

impl Found {
    fn until(&self) -> Instant {
        match self {
            Self::Addresses { until, .. } | Self::Nothing { until } | Self::Failed { until, .. } => *until,
        }
    }

    fn silences(&self) -> u32 {
        match self {
            Self::Failed { silences, .. } => *silences,
            Self::Addresses { .. } | Self::Nothing { .. } => 0,
        }
    }
}

/// A lookup that is running or done, and the number of consecutive lookups without an answer before it.
#[derive(Debug, Clone, Default)]
struct Entry {
    found: Arc<OnceCell<Arc<Found>>>,
    silences: u32,
}

/// The running lookups and the kept results, by name.
#[derive(Debug)]
pub(super) struct Lookups {
    servers: NameServers,
    turns: Arc<Turns>,
    entries: Mutex<HashMap<Host, Entry>>,
}

impl Lookups {
    pub(super) fn new(servers: NameServers) -> Self {
        Self { servers, turns: Arc::default(), entries: Mutex::default() }
    }

    /// Looks a name up, waits for a running lookup of it, or returns the result that is kept.
    pub(super) async fn find(&self, host: &Host) -> Arc<Found> {
        let Some(Entry { found, silences }) = self.entry(host, Instant::now()) else {
            return Arc::new(Found::Failed { until: Instant::now(), silences: 0 });
        };
        // Boxed, because every waiting question holds this future, and only one of them runs the large lookup.
        let ask = || async { Arc::new(Box::pin(self.ask(host, silences)).await) };
        Arc::clone(found.get_or_init(ask).await)
    }

    /// Returns `None` if too many names are known.
    fn entry(&self, host: &Host, now: Instant) -> Option<Entry> {
        let is_over = |entry: &Entry| entry.found.get().is_some_and(|found| found.until() <= now);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries.get(host);
        if let Some(entry) = known.filter(|entry| !is_over(entry)) {
            return Some(entry.clone());
        }
        let silences = known.and_then(|entry| entry.found.get()).map_or(0, |found| found.silences());
        if known.is_none() && entries.len() >= MOST_NAMES {
            entries.retain(|_, entry| !is_over(entry));
            if entries.len() >= MOST_NAMES {
                tracing::warn!(%host, "too many names are in use at a time to resolve another one");
                return None;
            }
        }
        let entry = Entry { silences, ..Entry::default() };
        entries.insert(*host, entry.clone());
        Some(entry)
    }

    async fn ask(&self, host: &Host, silences: u32) -> Found {
        let looked = self.turns.run(host, silences, self.servers.addresses(host));
        let answer = match tokio::time::timeout(WITHIN, looked).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(LookupError::Busy),
            Err(_elapsed) => Err(LookupError::Timeout),
        };
        let now = Instant::now();
        match answer {
            Ok((addresses, valid_until)) => {
                let until = valid_until.clamp(now + KEPT_AT_LEAST, now + KEPT_AT_MOST);
                Found::Addresses { addresses, until }
            }
            Err(LookupError::NoSuchName) => Found::Nothing { until: now + FAILURE_KEPT },
            Err(error @ (LookupError::Timeout | LookupError::Busy)) => {
                let until = now + FAILURE_KEPT * 2_u32.pow(silences.min(MOST_DOUBLINGS));
                tracing::info!(%host, %error, "the name could not be resolved");
                Found::Failed { until, silences: silences.saturating_add(1) }
            }
            Err(error @ (LookupError::System(_) | LookupError::Failed(_))) => {
                tracing::info!(%host, %error, "the name could not be resolved");
                Found::Failed { until: now + FAILURE_KEPT, silences: 0 }
            }
        }
    }
}
