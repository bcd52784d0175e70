//! The leaves in use: one a name, made on the first ask, replaced before their end, and bounded in number.
//!
//! Every name that an Envoy has asked for costs it memory (about 30 KB) until the name is withdrawn, and anybody
//! behind it can ask for any name by dialling it. So the names are bounded, those that nobody uses go, and how fast
//! names may replace each other is bounded too. Names outside the policy, which get a leaf only so that a refusal can
//! be read, have small bounds of their own and can never push out a name of the policy.

mod limits;
mod places;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use weir_policy::Host;

use super::leaf::Leaf;
use super::token_bucket::TokenBucket;
use super::{Ca, CaError};
pub use limits::{LISTED, Limit, Limits, Standing};
use places::{Place, Places, Queue};

/// The leaves in use. Shared between threads.
#[derive(Debug)]
pub struct Leaves {
    ca: Arc<Ca>,
    limits: Limits,
    state: Mutex<State>,
}

/// An answer to an ask for a leaf.
#[derive(Debug)]
pub struct Issued {
    /// The leaf.
    pub leaf: Arc<Leaf>,
    /// The name that had to go to make room: withdraw it from the Envoys that hold it.
    pub withdrawn: Option<Arc<str>>,
}

/// What has become of the leaf of a name that somebody holds.
#[derive(Debug)]
pub enum Renewal {
    /// This one is to be held now.
    Leaf(Arc<Leaf>),
    /// It is time for a new one, and other names are before it: ask again soon.
    Later,
    /// The name has lost its place: nobody should hold it.
    Gone,
}

#[derive(Debug)]
struct State {
    entries: HashMap<Arc<str>, Entry>,
    places: Places,
    renewals: TokenBucket,
    /// Counts asks and uses, and so orders them.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    place: Place,
    used_at: SystemTime,
    leaf: Slot,
}

/// The leaf of one name. Locked while it is made, so that concurrent asks for the name make it once and asks for
/// other names do not wait.
type Slot = Arc<Mutex<Option<Arc<Leaf>>>>;

impl Leaves {
    /// No leaves yet.
    #[must_use]
    pub fn new(ca: Arc<Ca>, limits: Limits) -> Self {
        let state = State {
            entries: HashMap::new(),
            places: Places { listed: Queue::new(limits.listed), other: Queue::new(limits.other) },
            renewals: TokenBucket::new(limits.renewed_per_second / 10, limits.renewed_per_second),
            clock: 0,
        };
        Self { ca, limits, state: Mutex::new(state) }
    }

    /// The CA that signs them.
    #[must_use]
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The leaf of `name`, which is a spelling of `host`: the one in use, or a new one if there is none or it is time
    /// to renew it. At the limit the name that was used least goes; `None` if too many have gone already.
    ///
    /// # Errors
    /// When the CA cannot make a certificate.
    pub fn leaf_for(
        &self,
        name: &str,
        host: &Host,
        standing: Standing,
        now: SystemTime,
    ) -> Result<Option<Issued>, CaError> {
        let Some((slot, withdrawn)) = self.state().admit(name, standing, now) else { return Ok(None) };
        Ok(Some(Issued { leaf: self.current(&slot, host, now)?, withdrawn }))
    }

    /// Gives a place to a name that somebody holds a leaf of already, if one is free. Its leaf is made by
    /// [`Self::renewed`].
    pub fn readmit(&self, name: &str, standing: Standing, now: SystemTime) {
        let mut state = self.state();
        if !state.places.of(standing).is_full() && !state.entries.contains_key(name) {
            state.insert(name, standing, now);
        }
    }

    /// The leaf of a name that is held, made anew if it is time and the rate of renewals allows. Not an ask: the name
    /// keeps its place.
    ///
    /// # Errors
    /// When the CA cannot make a certificate.
    pub fn renewed(&self, name: &str, host: &Host, now: SystemTime) -> Result<Renewal, CaError> {
        let slot = match self.state().entries.get(name) {
            Some(entry) => Arc::clone(&entry.leaf),
            None => return Ok(Renewal::Gone),
        };
        let held = lock(&slot).as_ref().map(Arc::clone);
        match held {
            Some(leaf) if self.ca.is_current(&leaf, now) => Ok(Renewal::Leaf(leaf)),
            Some(_) | None if !self.state().renewals.take(now) => Ok(Renewal::Later),
            Some(_) | None => self.current(&slot, host, now).map(Renewal::Leaf),
        }
    }

    /// A request was made under this name.
    pub fn used(&self, name: &str, now: SystemTime) {
        let mut state = self.state();
        if let Some((name, _)) = state.entries.get_key_value(name) {
            let name = Arc::clone(name);
            state.touch(&name, true, now);
        }
    }

    /// Orders names by their last use: higher is later, and zero is never.
    pub fn last_use(&self, name: &str) -> u64 {
        let state = self.state();
        state.entries.get(name).map_or(0, |entry| if entry.place.used { entry.place.at } else { 0 })
    }

    /// Sorts the names anew after a change of policy.
    pub fn reclassify(&self, standing: impl Fn(&str) -> Standing) {
        let mut state = self.state();
        let State { entries, places, .. } = &mut *state;
        places.listed.order.clear();
        places.other.order.clear();
        for (name, entry) in entries {
            entry.standing = standing(name);
            places.of(entry.standing).order.insert(entry.place, Arc::clone(name));
        }
    }

    /// Takes out one name that is idle or beyond the limit, if there is any: withdraw it from the Envoys that hold it.
    pub fn reap(&self, now: SystemTime) -> Option<Arc<str>> {
        let mut state = self.state();
        let State { entries, places, .. } = &mut *state;
        let is_idle = |name: &&Arc<str>| {
            let entry = entries.get(*name);
            entry.is_some_and(|entry| {
                now.duration_since(entry.used_at).is_ok_and(|idle| idle >= self.limits.idle)
            })
        };
        let found = [&places.other, &places.listed].into_iter().find_map(|queue| {
            if queue.order.len() > queue.live {
                return queue.order.values().next();
            }
            // The longest unused is the first of those that were never used, or the first of the others.
            let first_used = queue.order.range(Place { used: true, at: 0 }..).map(|(_, name)| name).next();
            queue.order.values().next().filter(is_idle).or(first_used.filter(is_idle))
        });
        let name = Arc::clone(found?);
        state.remove(&name);
        Some(name)
    }

    /// The leaf in a slot, made or renewed if need be, once for all who wait for it.
    fn current(&self, slot: &Slot, host: &Host, now: SystemTime) -> Result<Arc<Leaf>, CaError> {
        let mut held = lock(slot);
        if let Some(leaf) = held.as_ref().filter(|leaf| self.ca.is_current(leaf, now)) {
            return Ok(Arc::clone(leaf));
        }
        Ok(Arc::clone(held.insert(Arc::new(self.ca.mint(host, now)?))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// The slot of a name, and the name that had to go for it. `None` if there is no room.
    fn admit(&mut self, name: &str, standing: Standing, now: SystemTime) -> Option<(Slot, Option<Arc<str>>)> {
        if let Some((name, entry)) = self.entries.get_key_value(name) {
            let (name, slot, used) = (Arc::clone(name), Arc::clone(&entry.leaf), entry.place.used);
            self.touch(&name, used, now);
            return Some((slot, None));
        }
        let queue = self.places.of(standing);
        let full = queue.is_full();
        if full && !queue.replacing.take(now) {
            return None;
        }
        let withdrawn = if full { queue.order.pop_first().map(|(_, name)| name) } else { None };
        if let Some(name) = &withdrawn {
            self.entries.remove(name);
        }
        Some((self.insert(name, standing, now), withdrawn))
    }

    fn insert(&mut self, name: &str, standing: Standing, now: SystemTime) -> Slot {
        let name: Arc<str> = name.into();
        let place = self.next_place(false);
        let leaf = Slot::default();
        let entry = Entry { standing, place, used_at: now, leaf: Arc::clone(&leaf) };
        self.places.of(standing).order.insert(place, Arc::clone(&name));
        self.entries.insert(name, entry);
        leaf
    }

    fn touch(&mut self, name: &Arc<str>, used: bool, now: SystemTime) {
        let place = self.next_place(used);
        let Some(entry) = self.entries.get_mut(name) else { return };
        let before = std::mem::replace(&mut entry.place, place);
        entry.used_at = now;
        let order = &mut self.places.of(entry.standing).order;
        order.remove(&before);
        order.insert(place, Arc::clone(name));
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.places.of(entry.standing).order.remove(&entry.place);
        }
    }

    fn next_place(&mut self, used: bool) -> Place {
        self.clock += 1;
        Place { used, at: self.clock }
    }
}

/// Nothing is left half-changed in what is guarded here, so a panic elsewhere does not make it wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{ca, host, now};
    use super::*;

    const NONE: Limit = Limit { live: 0, replaced_per_second: 0 };

    fn limit(live: usize) -> Limit {
        Limit { live, replaced_per_second: 1 }
    }

    fn leaves(listed: Limit, other: Limit) -> (tempfile::TempDir, Leaves) {
        let (folder, ca) = ca();
        (folder, Leaves::new(Arc::new(ca), Limits { listed, other, ..Limits::default() }))
    }

    fn admitted(leaves: &Leaves, name: &str, standing: Standing, at: SystemTime) -> Option<Issued> {
        leaves.leaf_for(name, &host(name), standing, at).unwrap()
    }

    /// The name that had to go.
    fn ask(leaves: &Leaves, name: &str, standing: Standing) -> Option<String> {
        admitted(leaves, name, standing, now()).unwrap().withdrawn.map(|name| (*name).to_owned())
    }

    fn renewed(leaves: &Leaves, name: &str, at: SystemTime) -> Renewal {
        leaves.renewed(name, &host(name), at).unwrap()
    }

    #[test]
    fn renewing_a_name_is_no_ask_for_it() {
        let (_folder, leaves) = leaves(limit(2), NONE);
        assert!(
            matches!(renewed(&leaves, "a.example", now()), Renewal::Gone),
            "a name without a leaf gets none"
        );
        for name in ["a.example", "b.example"] {
            ask(&leaves, name, Standing::Listed);
        }
        assert!(matches!(renewed(&leaves, "a.example", now()), Renewal::Leaf(_)));
        assert_eq!(ask(&leaves, "c.example", Standing::Listed).as_deref(), Some("a.example"));
    }

    #[test]
    fn concurrent_asks_for_one_name_make_one_leaf() {
        let (_folder, leaves) = leaves(limit(2), NONE);
        let leaf = || admitted(&leaves, "a.example", Standing::Listed, now()).unwrap().leaf;
        let made: Vec<Arc<Leaf>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(leaf)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
    }

    #[test]
    fn a_leaf_is_replaced_when_it_is_due_and_not_before() {
        let (_folder, leaves) = leaves(limit(2), NONE);
        let ask = |at| admitted(&leaves, "a.example", Standing::Listed, at).unwrap().leaf;
        let first = ask(now());
        let due = first.renew_at();
        assert!(Arc::ptr_eq(&first, &ask(due - Duration::from_secs(1))));
        let Renewal::Leaf(second) = renewed(&leaves, "a.example", due) else { panic!("not renewed") };
        assert!(!Arc::ptr_eq(&first, &second) && second.not_after() > first.not_after());
        assert!(Arc::ptr_eq(&second, &ask(due)));
    }

    #[test]
    fn leaves_that_are_due_together_are_renewed_at_a_bounded_rate_and_asks_do_not_wait() {
        let (_folder, ca) = ca();
        let limits = Limits { listed: limit(30), renewed_per_second: 100, ..Limits::default() };
        let leaves = Leaves::new(Arc::new(ca), limits);
        let names: Vec<String> = (0..30).map(|number| format!("{number}.a.example")).collect();
        for name in &names {
            admitted(&leaves, name, Standing::Listed, now());
        }
        let due = now() + Duration::from_hours(17);
        let waiting = |at| {
            let later = |name: &&String| matches!(renewed(&leaves, name, at), Renewal::Later);
            names.iter().filter(later).cloned().collect::<Vec<_>>()
        };
        let rest = waiting(due);
        assert_eq!(rest.len(), 20);
        let asked = admitted(&leaves, &rest[0], Standing::Listed, due).unwrap().leaf;
        assert!(asked.renew_at() > due);
        assert_eq!(waiting(due).len(), 19);
        assert_eq!(waiting(due + Duration::from_millis(100)).len(), 9);
        assert_eq!(waiting(due + Duration::from_millis(200)).len(), 0);
    }

    #[test]
    fn names_outside_the_policy_never_push_out_a_name_of_the_policy() {
        let (_folder, leaves) = leaves(limit(2), limit(1));
        assert_eq!(ask(&leaves, "a.example", Standing::Listed), None);
        assert_eq!(ask(&leaves, "x.example", Standing::Other), None);
        assert_eq!(ask(&leaves, "y.example", Standing::Other).as_deref(), Some("x.example"));
        assert_eq!(ask(&leaves, "b.example", Standing::Listed), None);
        assert_eq!(ask(&leaves, "a.example", Standing::Listed), None);
        assert_eq!(ask(&leaves, "c.example", Standing::Listed).as_deref(), Some("b.example"));
    }

    #[test]
    fn names_replace_each_other_at_a_bounded_rate() {
        let (_folder, leaves) = leaves(limit(2), limit(2));
        let admitted = |number: usize, at| {
            admitted(&leaves, &format!("x{number}.example"), Standing::Other, at).is_some()
        };
        let flood =
            |numbers: std::ops::Range<usize>, at| numbers.filter(|number| admitted(*number, at)).count();
        // Two that fill it, and as many that replace them at once.
        assert_eq!(flood(0..100, now()), 4);
        assert_eq!(flood(100..200, now() + Duration::from_secs(1)), 1);
        assert_eq!(
            ask(&leaves, "a.example", Standing::Listed),
            None,
            "the policy's names have places of their own"
        );
    }

    #[test]
    fn names_that_were_only_asked_for_go_before_those_that_are_used() {
        let (_folder, leaves) = leaves(limit(3), NONE);
        for name in ["busy.example", "a.example", "b.example"] {
            ask(&leaves, name, Standing::Listed);
        }
        leaves.used("busy.example", now());
        leaves.used("never-asked.example", now());
        for (name, gone) in
            [("c.example", "a.example"), ("d.example", "b.example"), ("e.example", "c.example")]
        {
            assert_eq!(ask(&leaves, name, Standing::Listed).as_deref(), Some(gone));
        }
        assert!(leaves.last_use("busy.example") > 0);
        assert_eq!(leaves.last_use("e.example"), 0);
    }

    #[test]
    fn idle_names_are_reaped_and_busy_ones_stay() {
        let (_folder, leaves) = leaves(limit(5), limit(5));
        for name in ["idle.example", "busy.example", "used-once.example"] {
            ask(&leaves, name, Standing::Listed);
        }
        leaves.used("used-once.example", now());
        ask(&leaves, "x.example", Standing::Other);
        let later = now() + Limits::default().idle;
        leaves.used("busy.example", later - Duration::from_secs(1));
        assert!(leaves.reap(later - Duration::from_secs(1)).is_none());
        let reaped: Vec<_> = std::iter::from_fn(|| leaves.reap(later)).collect();
        assert_eq!(reaped, ["x.example", "idle.example", "used-once.example"].map(Arc::from));
        assert!(matches!(renewed(&leaves, "idle.example", later), Renewal::Gone));
    }

    #[test]
    fn a_change_of_policy_moves_names_and_what_is_beyond_a_limit_is_reaped() {
        let (_folder, leaves) = leaves(limit(3), limit(1));
        for name in ["a.example", "b.example", "c.example"] {
            ask(&leaves, name, Standing::Listed);
        }
        leaves.reclassify(|name| if name == "c.example" { Standing::Listed } else { Standing::Other });
        assert_eq!(leaves.reap(now()).as_deref(), Some("a.example"));
        assert_eq!(leaves.reap(now()), None);
        assert_eq!(ask(&leaves, "x.example", Standing::Other).as_deref(), Some("b.example"));
    }

    #[test]
    fn a_name_that_is_held_elsewhere_is_readmitted_where_there_is_room_and_its_leaf_made_when_there_is_time()
    {
        let (_folder, leaves) = leaves(limit(2), NONE);
        for name in ["a.example", "b.example", "c.example"] {
            leaves.readmit(name, Standing::Listed, now());
        }
        assert!(matches!(renewed(&leaves, "a.example", now()), Renewal::Leaf(_)));
        assert!(matches!(renewed(&leaves, "c.example", now()), Renewal::Gone));
    }
}
