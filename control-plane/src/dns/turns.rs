//! The order of lookups: which are running, and which wait. Names whose name servers do not answer leave room for
//! others.
//!
//! The number of lookups is bounded, because each holds sockets. A lookup may run for [`SHARE`]; after that it gives
//! its place to one that waits. Domains have equal rights: the next turn is the domain's with the fewest running
//! lookups. Within a domain, it is the name's with the fewest consecutive lookups without an answer, and among these
//! the newest one's, whose client certainly still waits. So a new name starts within [`SHARE`], even behind a thousand
//! names without an answer.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use weir_policy::Host;

/// The maximum number of running lookups. Each asks for two families, at up to two name servers at a time, with a
/// socket for each question: fewer than the 1,024 files that a process may open by default.
const MOST_RUNNING: usize = 192;
/// The maximum number of waiting lookups. Beyond it, one of the domain with the most waiting lookups fails: the one
/// with the most consecutive lookups without an answer, or else the oldest.
const MOST_WAITING: usize = 1024;
/// The time for which a lookup keeps its place while others wait.
const SHARE: Duration = Duration::from_secs(1);
/// The number of labels that define a domain: names that share them mostly have the same name servers.
const DOMAIN_LABELS: usize = 2;

/// The turns of all lookups.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    running: Vec<Running>,
    /// The waiting lookups, oldest first.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    name: Name,
    since: Instant,
    /// Notified when another lookup gets the place.
    over: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    name: Name,
    start: oneshot::Sender<Turn>,
}

/// The properties of a name that decide its rank.
#[derive(Debug, Clone)]
struct Name {
    domain: Domain,
    /// Consecutive lookups without an answer.
    silences: u32,
}

/// The last labels of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Domain(Box<str>);

impl Domain {
    fn new(host: &Host) -> Self {
        let name = host.as_str();
        let start = name.rmatch_indices('.').nth(DOMAIN_LABELS - 1).map_or(0, |(dot, _)| dot + 1);
        Self(name.get(start..).unwrap_or(name).into())
    }
}

impl Name {
    /// Returns the name's rank. The lowest rank is next.
    fn rank(&self, running: &HashMap<&Domain, usize>) -> (usize, u32) {
        (running.get(&self.domain).copied().unwrap_or_default(), self.silences)
    }
}

/// The right to run a lookup, until it is dropped or handed over.
#[derive(Debug)]
struct Turn {
    turns: Arc<Turns>,
    number: u64,
    over: Arc<Notify>,
}

impl Turns {
    /// Runs a lookup of this name when its turn comes. Returns `None` if it had to make room for others. `silences` is
    /// the number of consecutive lookups of the name without an answer.
    pub(super) async fn run<T>(
        self: &Arc<Self>,
        host: &Host,
        silences: u32,
        lookup: impl Future<Output = T>,
    ) -> Option<T> {
        let mut turn = self.turn(Name { domain: Domain::new(host), silences }).await?;
        let mut lookup = pin!(lookup);
        tokio::select! {
            found = &mut lookup => return Some(found),
            () = tokio::time::sleep(SHARE) => if turn.gives_way() {
                return None;
            }
        }
        tokio::select! {
            found = lookup => Some(found),
            () = turn.over.notified() => None,
        }
    }

    /// Returns `None` if too many lookups wait.
    async fn turn(self: &Arc<Self>, name: Name) -> Option<Turn> {
        let started = {
            let mut state = self.state();
            if state.running.len() < MOST_RUNNING {
                return Some(self.start(&mut state, name));
            }
            if let Some(place) = state.gives_way_to(&name) {
                state.running.swap_remove(place).over.notify_one();
                return Some(self.start(&mut state, name));
            }
            let (start, started) = oneshot::channel();
            state.wait(Waiting { name, start });
            started
        };
        started.await.ok()
    }

    fn start(self: &Arc<Self>, state: &mut State, name: Name) -> Turn {
        state.last_number += 1;
        let (number, over) = (state.last_number, Arc::new(Notify::new()));
        state.running.push(Running { number, name, since: Instant::now(), over: Arc::clone(&over) });
        Turn { turns: Arc::clone(self), number, over }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Hands the turn to a waiting lookup. Keeps it if that lookup's domain has more running lookups than this one's,
    /// or has as many and its name had more consecutive lookups without an answer.
    fn gives_way(&mut self) -> bool {
        let handed = {
            let mut state = self.turns.state();
            let Some(place) = state.next() else { return false };
            let running = state.running_by_domain();
            let own = state.running.iter().find(|running| running.number == self.number);
            let own = own.map(|own| own.name.rank(&running));
            if own < state.waiting.get(place).map(|waiting| waiting.name.rank(&running)) {
                return false;
            }
            self.hand(&mut state)
        };
        deliver(handed);
        true
    }

    /// Ends this turn, and starts that of a waiting lookup, if there is one.
    fn hand(&self, state: &mut State) -> Option<(oneshot::Sender<Self>, Self)> {
        let place = state.running.iter().position(|running| running.number == self.number)?;
        state.running.swap_remove(place);
        let place = state.next()?;
        let Waiting { name, start } = state.waiting.remove(place)?;
        Some((start, self.turns.start(state, name)))
    }
}

/// Gives a waiting lookup its turn. If that lookup has stopped waiting, the next one gets the turn.
fn deliver(mut handed: Option<(oneshot::Sender<Turn>, Turn)>) {
    while let Some((start, turn)) = handed.take() {
        if let Err(turn) = start.send(turn) {
            handed = turn.hand(&mut turn.turns.state());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let handed = self.hand(&mut self.turns.state());
        deliver(handed);
    }
}

impl State {
    fn running_by_domain(&self) -> HashMap<&Domain, usize> {
        let mut counts = HashMap::new();
        for running in &self.running {
            *counts.entry(&running.name.domain).or_default() += 1;
        }
        counts
    }

    /// Returns the running lookup that must end in favour of this name: one that has had its share and whose rank is
    /// at least as high, if any.
    fn gives_way_to(&self, name: &Name) -> Option<usize> {
        let running = self.running_by_domain();
        let had_share =
            self.running.iter().enumerate().filter(|(_, running)| running.since.elapsed() >= SHARE);
        let (place, worst) = had_share.max_by_key(|(_, lookup)| lookup.name.rank(&running))?;
        (worst.name.rank(&running) >= name.rank(&running)).then_some(place)
    }

    /// Returns the waiting lookup that is next.
    fn next(&mut self) -> Option<usize> {
        self.waiting.retain(|waiting| !waiting.start.is_closed());
        let running = self.running_by_domain();
        let newest_first = self.waiting.iter().enumerate().rev();
        newest_first.min_by_key(|(_, waiting)| waiting.name.rank(&running)).map(|(place, _)| place)
    }

    /// Adds a waiting lookup, and removes another one if the queue is full.
    fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
        if self.waiting.len() <= MOST_WAITING {
            return;
        }
        let mut counts: HashMap<&Domain, usize> = HashMap::new();
        for waiting in &self.waiting {
            *counts.entry(&waiting.name.domain).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(domain, _)| domain.clone());
        let oldest_last = self.waiting.iter().enumerate().rev();
        let of_most = oldest_last.filter(|(_, waiting)| Some(&waiting.name.domain) == most.as_ref());
        if let Some((place, _)) = of_most.max_by_key(|(_, waiting)| waiting.name.silences) {
            self.waiting.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinHandle;

    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    /// Starts lookups of names without an answer, and waits until each runs or is queued.
    async fn silent(
        turns: &Arc<Turns>,
        domain: &str,
        silences: u32,
        count: usize,
    ) -> Vec<JoinHandle<Option<()>>> {
        let mut lookups = Vec::new();
        for number in 0..count {
            let (turns, host) = (Arc::clone(turns), host(&format!("n{number}.{domain}")));
            lookups.push(tokio::spawn(async move { turns.run(&host, silences, pending()).await }));
            tokio::task::yield_now().await;
        }
        lookups
    }

    async fn starts_within(turns: &Arc<Turns>, name: &str) -> Duration {
        let asked = Instant::now();
        turns.run(&host(name), 0, async { asked.elapsed() }).await.expect("a turn")
    }

    #[test]
    fn the_domain_of_a_name_is_its_end() {
        for (name, domain) in [("a.b.c.example", "c.example"), ("c.example", "c.example"), ("c", "c")] {
            assert_eq!(&*Domain::new(&host(name)).0, domain);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_starts_within_a_share_whatever_is_silent() {
        let turns = Arc::new(Turns::default());
        let _flood = silent(&turns, "silent.example", 0, 2 * MOST_WAITING).await;
        for name in ["other.test", "new.silent.example", "one.more.silent.example"] {
            let waited = starts_within(&turns, name).await;
            assert!(waited <= SHARE, "{name}: {waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_was_never_silent_goes_before_newer_ones_that_were() {
        let turns = Arc::new(Turns::default());
        let _flood = silent(&turns, "silent.example", 3, MOST_RUNNING).await;
        let (new, answered) = (Arc::clone(&turns), Duration::from_secs(3));
        let new = tokio::spawn(async move {
            new.run(&host("new.silent.example"), 0, tokio::time::sleep(answered)).await
        });
        tokio::task::yield_now().await;
        let _again = silent(&turns, "silent.example", 3, MOST_WAITING).await;
        assert_eq!(tokio::time::timeout(SHARE + answered, new).await.unwrap().unwrap(), Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_nobody_waits_behind_has_all_the_time() {
        let turns = Arc::new(Turns::default());
        let lookups = silent(&turns, "silent.example", 0, MOST_RUNNING).await;
        tokio::time::sleep(10 * SHARE).await;
        assert!(lookups.iter().all(|lookup| !lookup.is_finished()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_domain_with_few_lookups_gives_way_to_none_that_has_more() {
        let turns = Arc::new(Turns::default());
        let few = silent(&turns, "few.example", 0, 3).await;
        let many = silent(&turns, "many.example", 0, MOST_WAITING).await;
        tokio::time::sleep(10 * SHARE).await;
        assert!(few.iter().all(|lookup| !lookup.is_finished()));
        assert!(many.iter().filter(|lookup| lookup.is_finished()).count() > MOST_RUNNING);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_is_room_for_and_the_domain_with_most_loses() {
        let turns = Arc::new(Turns::default());
        let running = silent(&turns, "running.example", 0, MOST_RUNNING).await;
        let few = silent(&turns, "few.example", 0, 3).await;
        let many = silent(&turns, "many.example", 0, 2 * MOST_WAITING).await;
        let ended = |lookups: &[JoinHandle<_>]| lookups.iter().filter(|lookup| lookup.is_finished()).count();
        assert_eq!((ended(&running), ended(&few)), (0, 0));
        assert_eq!(ended(&many), MOST_WAITING + 3);
        assert_eq!(turns.state().waiting.len(), MOST_WAITING);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_are_dropped_anywhere_are_free_again() {
        let turns = Arc::new(Turns::default());
        for lookup in silent(&turns, "silent.example", 0, MOST_RUNNING + 100).await {
            lookup.abort();
            assert!(lookup.await.unwrap_err().is_cancelled());
        }
        assert_eq!(starts_within(&turns, "new.example").await, Duration::ZERO);
        assert_eq!(turns.state().running.len(), 0);
    }
}
