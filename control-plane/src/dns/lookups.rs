//! What the name servers say, asked once for both families and kept for a while.
//!
//! Both families come from one lookup: what Envoy is given of one depends on what the other holds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use weir_policy::Host;

use super::name_servers::{LookupError, NameServers};

/// Names that are known at a time: as many as Envoy's own cache holds.
const MOST_NAMES: usize = 16_384;
/// How long a lookup is kept at least, so that the two questions that Envoy asks of a name have one answer.
const KEPT_AT_LEAST: Duration = Duration::from_secs(5);
/// And at most, so that an edit of the policy soon reaches what Envoy keeps.
const KEPT_AT_MOST: Duration = Duration::from_secs(60);

/// The outcome of a lookup, and until when it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Of both families, in the servers' order.
    Addresses { addresses: Vec<IpAddr>, until: Instant },
    /// There is no such name, or it has no address.
    Nothing { until: Instant },
    /// No name server could tell.
    Failed { until: Instant },
}

impl Found {
    fn until(&self) -> Instant {
        match self {
            Self::Addresses { until, .. } | Self::Nothing { until } | Self::Failed { until } => *until,
        }
    }
}

/// A lookup that is under way, or done.
type Entry = Arc<OnceCell<Arc<Found>>>;

#[derive(Debug)]
pub(super) struct Lookups {
    servers: NameServers,
    entries: Mutex<HashMap<Host, Entry>>,
}

impl Lookups {
    pub(super) fn new(servers: NameServers) -> Self {
        Self { servers, entries: Mutex::default() }
    }

    /// Asks for a name, or waits for who is asking already, or remembers.
    pub(super) async fn find(&self, host: &Host) -> Arc<Found> {
        match self.entry(host, Instant::now()) {
            Some(entry) => Arc::clone(entry.get_or_init(|| async { Arc::new(self.ask(host).await) }).await),
            None => Arc::new(Found::Failed { until: Instant::now() }),
        }
    }

    /// None when too many names are known.
    fn entry(&self, host: &Host, now: Instant) -> Option<Entry> {
        let is_over = |entry: &Entry| entry.get().is_some_and(|found| found.until() <= now);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(host).filter(|entry| !is_over(entry)) {
            return Some(Arc::clone(entry));
        }
        if entries.len() >= MOST_NAMES {
            entries.retain(|_, entry| !is_over(entry));
        }
        if entries.len() >= MOST_NAMES {
            tracing::warn!(%host, "too many names are in use at a time to resolve another one");
            return None;
        }
        let entry = Entry::default();
        entries.insert(*host, Arc::clone(&entry));
        Some(entry)
    }

    async fn ask(&self, host: &Host) -> Found {
        let answer = self.servers.addresses(host).await;
        let now = Instant::now();
        match answer {
            Ok((addresses, valid_until)) => {
                let until = valid_until.clamp(now + KEPT_AT_LEAST, now + KEPT_AT_MOST);
                Found::Addresses { addresses, until }
            }
            Err(LookupError::NoSuchName) => Found::Nothing { until: now + KEPT_AT_LEAST },
            Err(error) => {
                tracing::info!(%host, %error, "the name could not be resolved");
                Found::Failed { until: now + KEPT_AT_LEAST }
            }
        }
    }
}
