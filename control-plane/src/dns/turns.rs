//! Which lookups are under way, and which wait for their turn: names whose name server is silent leave room for others.
//!
//! Each lookup holds sockets, so their number is bounded. A lookup has [`SHARE`] for itself; after that it gives way to
//! one that waits. Domains have equal rights: the turn goes to the domain with the fewest lookups under way. Within a
//! domain it goes to the name that was silent least often, and then to the newest, whose client waits for certain. So
//! a new name starts within [`SHARE`], whatever a thousand silent names do.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use weir_policy::Host;

/// Lookups under way. Each asks for two families, at up to two name servers at a time, with a socket for each question:
/// less than the 1,024 files that a process may have by default.
const MOST_RUNNING: usize = 192;
/// Lookups that wait. One more, and the one that was silent most often fails, or the oldest, of the domain with the most.
const MOST_WAITING: usize = 1024;
/// What a lookup has for itself while others wait.
const SHARE: Duration = Duration::from_secs(1);
/// The labels that tell domains apart: the name servers of names that share them are mostly the same.
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
    /// The oldest first.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    name: Name,
    since: Instant,
    /// Told when the turn is another's.
    over: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    name: Name,
    start: oneshot::Sender<Turn>,
}

/// What counts of a name.
#[derive(Debug, Clone)]
struct Name {
    domain: Domain,
    /// Lookups in a row that had no answer.
    silences: u32,
}

/// The end of a name.
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
    /// The less the better its right.
    fn rank(&self, running: &HashMap<&Domain, usize>) -> (usize, u32) {
        (running.get(&self.domain).copied().unwrap_or_default(), self.silences)
    }
}

/// The right to a lookup, until it is dropped or handed over.
#[derive(Debug)]
struct Turn {
    turns: Arc<Turns>,
    number: u64,
    over: Arc<Notify>,
}

impl Turns {
    /// Runs a lookup of this name when it is its turn. None when it had to make room for others.
    /// Its last lookups in a row were `silences`.
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

    /// None when too many wait.
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
    /// Hands the turn to a lookup that waits, unless that one's domain has more lookups under way than this one's, or as
    /// many and its name was silent more often.
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

    /// Ends this turn, and begins another's if any waits.
    fn hand(&self, state: &mut State) -> Option<(oneshot::Sender<Self>, Self)> {
        let place = state.running.iter().position(|running| running.number == self.number)?;
        state.running.swap_remove(place);
        let place = state.next()?;
        let Waiting { name, start } = state.waiting.remove(place)?;
        Some((start, self.turns.start(state, name)))
    }
}

/// Tells a lookup that its turn has come. If it waits no longer, the turn is the next one's.
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

    /// The lookup that ends for one of this name, if any has had its share and no better right.
    fn gives_way_to(&self, name: &Name) -> Option<usize> {
        let running = self.running_by_domain();
        let had_share =
            self.running.iter().enumerate().filter(|(_, running)| running.since.elapsed() >= SHARE);
        let (place, worst) = had_share.max_by_key(|(_, lookup)| lookup.name.rank(&running))?;
        (worst.name.rank(&running) >= name.rank(&running)).then_some(place)
    }

    /// Whose turn is next.
    fn next(&mut self) -> Option<usize> {
        self.waiting.retain(|waiting| !waiting.start.is_closed());
        let running = self.running_by_domain();
        let newest_first = self.waiting.iter().enumerate().rev();
        newest_first.min_by_key(|(_, waiting)| waiting.name.rank(&running)).map(|(place, _)| place)
    }

    /// Makes room where there is none.
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

    /// Begins lookups of silent names and lets them come to their turn or their place.
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
