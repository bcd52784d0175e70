//! The lines of the log, queued for the reader that prints them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use weir_policy::Effect;

use super::LoggedDecision;
use super::denial_flood::{DenialFlood, MoreDenials};

/// The maximum number of waiting lines: at most 16 MB, and usually less.
const WAITING: usize = 16_384;
/// The places that are reserved for requests that were forwarded. Denials may not use them.
const KEPT_FOR_FORWARDED: usize = WAITING / 2;
/// The interval at which the counted denials become lines.
const ROUND: Duration = Duration::from_secs(1);

/// An item for the reader to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A decision.
    Decision(Box<LoggedDecision>),
    /// A count of decisions without lines of their own.
    MoreDenials(MoreDenials),
}

/// The sender of decisions as lines.
#[derive(Debug, Clone)]
pub(super) struct LineSender {
    lines: mpsc::Sender<LoggedDecision>,
    flood: Arc<DenialFlood>,
}

impl LineSender {
    /// Sends a decision. A forwarded request's decision waits for a place in the queue, and its stream waits with it:
    /// Envoy keeps later entries meanwhile. A denial that finds no place is counted.
    pub(super) async fn send(&self, decision: LoggedDecision) {
        if decision.record.effect != Effect::Deny {
            // A closed queue is not an error.
            let _ = self.lines.send(decision).await;
        } else if self.flood.has_line() && self.lines.capacity() > KEPT_FOR_FORWARDED {
            if let Err(mpsc::error::TrySendError::Full(decision)) = self.lines.try_send(decision) {
                self.flood.count(&decision.record.reason);
            }
        } else {
            self.flood.count(&decision.record.reason);
        }
    }
}

/// The lines in order, for a single reader.
#[derive(Debug)]
pub struct Lines {
    decisions: mpsc::Receiver<LoggedDecision>,
    flood: Arc<DenialFlood>,
    round: Interval,
    counted: VecDeque<MoreDenials>,
}

impl Lines {
    /// Waits for the next line. Returns `None` when no more lines will come. The future may be cancelled.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(more) = self.counted.pop_front() {
                return Some(Line::MoreDenials(more));
            }
            tokio::select! {
                biased;
                _ = self.round.tick() => self.counted.extend(self.flood.next_round()),
                decision = self.decisions.recv() => return decision.map(|it| Line::Decision(Box::new(it))),
            }
        }
    }

    /// Returns every line in the queue, and the counts of the current round.
    pub fn rest(&mut self) -> Vec<Line> {
        let mut lines: Vec<_> = std::iter::from_fn(|| self.decisions.try_recv().ok())
            .map(|it| Line::Decision(Box::new(it)))
            .collect();
        self.counted.extend(self.flood.next_round());
        lines.extend(self.counted.drain(..).map(Line::MoreDenials));
        lines
    }
}

/// Makes the two ends of the queue. It must be called within a runtime.
pub(super) fn lines() -> (LineSender, Lines) {
    let (sender, decisions) = mpsc::channel(WAITING);
    let flood = Arc::new(DenialFlood::default());
    let mut round = interval(ROUND);
    // An idle log wakes its reader at most once in this interval, and a late round lasts longer.
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lines = Lines { decisions, flood: Arc::clone(&flood), round, counted: VecDeque::new() };
    (LineSender { lines: sender, flood }, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::denial_flood;
    use crate::decision_log::logged_decision::tests::decision;

    #[tokio::test]
    async fn a_flood_of_denials_is_counted_and_every_forwarded_request_has_its_line() {
        let (sender, mut lines) = lines();
        let denials = 3 * denial_flood::LINES;
        for _ in 0..denials {
            sender.send(decision("deny")).await;
        }
        for _ in 0..60 {
            sender.send(decision("allow")).await;
        }
        let (mut own, mut counted, mut forwarded) = (0, 0, 0);
        for line in lines.rest() {
            match line {
                Line::Decision(decision) if decision.record.effect == Effect::Deny => own += 1,
                Line::Decision(_) => forwarded += 1,
                Line::MoreDenials(more) => counted += more.count,
            }
        }
        assert_eq!((own, counted, forwarded), (denial_flood::LINES, denials - denial_flood::LINES, 60));
    }

    #[tokio::test]
    async fn a_forwarded_request_waits_for_its_place() {
        let (sender, mut lines) = lines();
        for _ in 0..WAITING {
            sender.send(decision("allow")).await;
        }
        // Denials never wait.
        sender.send(decision("deny")).await;
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(decision("allow")).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let mut count = 0;
        while count <= WAITING {
            count += usize::from(matches!(lines.next().await, Some(Line::Decision(_))));
        }
        waiting.await.unwrap();
        let rest = lines.rest();
        assert!(matches!(rest.as_slice(), [] | [Line::MoreDenials(_)]), "{rest:?}");
    }
}
