//! The certificates that clients refused: each server name at most once a minute.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use weir_policy::Scheme;

use super::LoggedDecision;
use super::refused_certificate::{RefusalSign, RefusedCertificate};
use crate::envoy::resources::names;

/// The time for which a server name is not told again.
const PERIOD: Duration = Duration::from_secs(60);
/// The time in which a request shows that a client of that server name trusts the certificate. A connection may end just
/// before its host's first request is logged.
const DOUBT: Duration = Duration::from_secs(1);
/// The maximum number of server names that are told in a period. A client may send any name.
const MOST_TOLD: usize = 32;
/// The maximum number of hosts that requests are remembered of.
const MOST_HOSTS: usize = 4_096;

/// Collects refusals for one reader.
#[derive(Debug, Default)]
pub struct CertificateRefusals {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// When a request last came over TLS for a host.
    requests: HashMap<String, Instant>,
    /// The server names that were told, or are about to be.
    told: HashMap<String, Instant>,
    /// The refusals that are told at these times.
    waiting: VecDeque<(Instant, RefusedCertificate)>,
}

impl CertificateRefusals {
    /// Waits for the next refusal to tell. The future may be cancelled.
    pub async fn next(&self) -> RefusedCertificate {
        loop {
            let due = {
                let mut state = self.lock();
                if let Some(refused) = state.take_due(Instant::now()) {
                    return refused;
                }
                state.waiting.iter().map(|(due, _)| *due).min()
            };
            match due {
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Returns the refusals that are left to tell when every request has been logged.
    pub fn rest(&self) -> Vec<RefusedCertificate> {
        let mut state = self.lock();
        std::iter::from_fn(|| state.take_due(Instant::now() + DOUBT)).collect()
    }

    pub(super) fn add(&self, refused: RefusedCertificate) {
        self.lock().add(refused, Instant::now());
        self.changed.notify_one();
    }

    /// Takes note of a request that came over TLS: its client trusts the certificate.
    pub(super) fn note(&self, decision: &LoggedDecision) {
        let is_inside_tls = [names::INTERCEPT_LISTENER, names::TRANSPARENT_LISTENER]
            .contains(&decision.listener.as_str())
            && decision.record.scheme == Scheme::Https.as_str();
        if is_inside_tls {
            self.lock().note(&decision.record.host, Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, host: &str, now: Instant) {
        if let Some(last) = self.requests.get_mut(host) {
            *last = now;
            return;
        }
        if self.requests.len() >= MOST_HOSTS {
            self.requests.retain(|_, last| now.duration_since(*last) < PERIOD);
        }
        if self.requests.len() < MOST_HOSTS {
            self.requests.insert(host.to_owned(), now);
        }
    }

    fn add(&mut self, refused: RefusedCertificate, now: Instant) {
        let due = if refused.sign == RefusalSign::Closed { now + DOUBT } else { now };
        let name = refused.server_name.clone().unwrap_or_default();
        if let Some((waiting_due, waiting)) =
            self.waiting.iter_mut().find(|(_, waiting)| waiting.server_name == refused.server_name)
        {
            // An alert leaves no doubt.
            if waiting.sign == RefusalSign::Closed && refused.sign != RefusalSign::Closed {
                (*waiting_due, *waiting) = (due, refused);
            }
            return;
        }
        self.told.retain(|_, at| now.duration_since(*at) < PERIOD);
        if self.told.len() + self.waiting.len() < MOST_TOLD && !self.told.contains_key(&name) {
            self.waiting.push_back((due, refused));
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<RefusedCertificate> {
        while let Some(index) = self.waiting.iter().position(|(due, _)| *due <= now) {
            let (_, refused) = self.waiting.remove(index)?;
            let name = refused.server_name.clone().unwrap_or_default();
            if refused.sign == RefusalSign::Closed && self.may_be_trusted(&name, now) {
                continue;
            }
            self.told.insert(name, now);
            return Some(refused);
        }
        None
    }

    fn may_be_trusted(&self, host: &str, now: Instant) -> bool {
        let recently = |last: &Instant| now.duration_since(*last) < PERIOD;
        self.requests.get(host).map_or(self.requests.len() >= MOST_HOSTS, recently)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::refused_certificate::CertificateAlert;

    const ALERT: RefusalSign = RefusalSign::Alert(CertificateAlert::UnknownCa);

    fn refused(name: &str, sign: RefusalSign) -> RefusedCertificate {
        RefusedCertificate { time: 1, server_name: Some(name.to_owned()), client: None, sign }
    }

    /// The next refusal within ten minutes.
    async fn next(refusals: &CertificateRefusals) -> Option<RefusedCertificate> {
        tokio::time::timeout(10 * PERIOD, refusals.next()).await.ok()
    }

    fn request(refusals: &CertificateRefusals, host: &str) {
        refusals.lock().note(host, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn each_server_name_is_told_once_a_minute() {
        let refusals = CertificateRefusals::default();
        for _ in 0..100 {
            refusals.add(refused("a.example", ALERT));
            refusals.add(refused("b.example", RefusalSign::Closed));
        }
        assert_eq!(next(&refusals).await, Some(refused("a.example", ALERT)));
        assert_eq!(next(&refusals).await, Some(refused("b.example", RefusalSign::Closed)));
        refusals.add(refused("a.example", ALERT));
        refusals.add(refused("b.example", RefusalSign::Closed));
        assert_eq!(next(&refusals).await, None);
        refusals.add(refused("a.example", ALERT));
        assert_eq!(next(&refusals).await, Some(refused("a.example", ALERT)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_connection_shows_nothing_where_requests_come() {
        let refusals = CertificateRefusals::default();
        request(&refusals, "before.example");
        refusals.add(refused("before.example", RefusalSign::Closed));
        refusals.add(refused("after.example", RefusalSign::Closed));
        request(&refusals, "after.example");
        assert_eq!(next(&refusals).await, None);
        // An alert does, and so does a connection that is closed a minute after the last request.
        request(&refusals, "after.example");
        refusals.add(refused("after.example", RefusalSign::Closed));
        refusals.add(refused("after.example", ALERT));
        assert_eq!(next(&refusals).await, Some(refused("after.example", ALERT)));
        tokio::time::advance(PERIOD).await;
        refusals.add(refused("before.example", RefusalSign::Closed));
        assert_eq!(next(&refusals).await, Some(refused("before.example", RefusalSign::Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_a_client_invents_are_bounded() {
        let refusals = CertificateRefusals::default();
        for number in 0..10_000 {
            refusals.add(refused(&format!("{number}.example"), ALERT));
            request(&refusals, &format!("{number}.example"));
        }
        let mut told = 0;
        while next(&refusals).await.is_some() {
            told += 1;
            refusals.add(refused("another.example", RefusalSign::Closed));
        }
        let state = refusals.lock();
        assert_eq!((told, state.requests.len(), state.waiting.len()), (MOST_TOLD, MOST_HOSTS, 0));
    }
}
