//! The lines of the log on their way to whoever prints them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Decision;
use super::denial_flood::{DenialFlood, MoreDenials};

/// Lines that may wait: 16 MB at most, and mostly less.
const WAITING: usize = 16_384;
/// Denials leave so many places to requests that were forwarded.
const KEPT_FOR_FORWARDED: usize = WAITING / 2;
/// How often denials without lines of their own are told.
const ROUND: Duration = Duration::from_secs(1);

/// What there is to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A decision.
    Decision(Box<Decision>),
    /// Decisions that were only counted.
    MoreDenials(MoreDenials),
}

/// Where decisions become lines.
#[derive(Debug, Clone)]
pub(super) struct LineSender {
    lines: mpsc::Sender<Decision>,
    flood: Arc<DenialFlood>,
}

impl LineSender {
    /// Passes a decision on. A request that was forwarded waits for its place, and with it the stream that it came over: what
    /// follows stays in Envoy meanwhile. A denial that finds no place is counted.
    pub(super) async fn send(&self, decision: Decision) {
        if decision.record.effect != "deny" {
            // Nobody listening any more is no failure.
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

/// The lines in their order; one reader takes them all.
#[derive(Debug)]
pub struct Lines {
    decisions: mpsc::Receiver<Decision>,
    flood: Arc<DenialFlood>,
    round: Interval,
    counted: VecDeque<MoreDenials>,
}

impl Lines {
    /// Waits for the next line. `None` when no more will come. May be cancelled.
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

    /// Takes every line that is there, and the counts of the round that has begun.
    pub fn rest(&mut self) -> Vec<Line> {
        let mut lines: Vec<_> = std::iter::from_fn(|| self.decisions.try_recv().ok())
            .map(|it| Line::Decision(Box::new(it)))
            .collect();
        self.counted.extend(self.flood.next_round());
        lines.extend(self.counted.drain(..).map(Line::MoreDenials));
        lines
    }
}

/// The two ends. To be called within a runtime.
pub(super) fn lines() -> (LineSender, Lines) {
    let (sender, decisions) = mpsc::channel(WAITING);
    let flood = Arc::new(DenialFlood::default());
    let mut round = interval(ROUND);
    // An idle log wakes nobody more often than this, and a late round is a longer one.
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lines = Lines { decisions, flood: Arc::clone(&flood), round, counted: VecDeque::new() };
    (LineSender { lines: sender, flood }, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision_log::decision::tests::decision;
    use crate::decision_log::denial_flood;

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
                Line::Decision(decision) if decision.record.effect == "deny" => own += 1,
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
