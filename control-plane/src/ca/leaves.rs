//! The leaves in use. Each name has one leaf, made at the first request for it and replaced before it expires.
//!
//! Each name costs Envoy about 30 KB of memory until the name is withdrawn, and any client can make Envoy ask for any
//! name by connecting with it. So the number of names is bounded, unused names expire, and the rate at which a new
//! name may displace an old one is bounded too. Names outside the policy get a leaf only so that the client can read
//! its denial. They have small limits of their own and never displace a name of the policy.

mod eviction_queues;
mod limits;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use weir_policy::Host;

use super::leaf::Leaf;
use super::token_bucket::TokenBucket;
use super::{Ca, CaError};
use eviction_queues::{EvictionKey, EvictionQueues, Queue};
pub use limits::{LISTED, LeafLimits, Limit, NameClass};

/// The leaves in use, shared between threads.
#[derive(Debug)]
pub struct Leaves {
    ca: Arc<Ca>,
    limits: LeafLimits,
    state: Mutex<State>,
}

/// The answer to a request for a leaf.
#[derive(Debug)]
pub struct Issued {
    /// The leaf.
    pub leaf: Arc<Leaf>,
    /// A name that was evicted to make room. The caller must withdraw it from the Envoys that hold it.
    pub withdrawn: Option<Arc<str>>,
}

/// The state of a leaf that an Envoy holds.
#[derive(Debug)]
pub enum Renewal {
    /// The Envoy should hold this leaf.
    Leaf(Arc<Leaf>),
    /// The leaf is due for renewal, and the renewal rate is used up. The caller should ask again soon.
    Later,
    /// The name was evicted. The caller should withdraw it from the Envoy.
    Gone,
}

#[derive(Debug)]
struct State {
    entries: HashMap<Arc<str>, Entry>,
    queues: EvictionQueues,
    renewals: TokenBucket,
    /// Counts requests and uses, to order them.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    class: NameClass,
    key: EvictionKey,
    used_at: SystemTime,
    leaf: Slot,
}

/// The leaf of one name. It is locked while the CA mints it: concurrent requests for the name mint one leaf, and
/// requests for other names do not wait.
type Slot = Arc<Mutex<Option<Arc<Leaf>>>>;

impl Leaves {
    /// Creates an empty set of leaves.
    #[must_use]
    pub fn new(ca: Arc<Ca>, limits: LeafLimits) -> Self {
        let state = State {
            entries: HashMap::new(),
            queues: EvictionQueues { listed: Queue::new(limits.listed), other: Queue::new(limits.other) },
            renewals: TokenBucket::new(limits.renewed_per_second / 10, limits.renewed_per_second),
            clock: 0,
        };
        Self { ca, limits, state: Mutex::new(state) }
    }

    /// The CA that signs the leaves.
    #[must_use]
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Returns the leaf for `name`, which is a spelling of `host`. Mints one if the name has none or its leaf is due
    /// for renewal. At the limit, a new name evicts the least used one; `None` means that the rate of evictions is
    /// used up.
    ///
    /// # Errors
    /// When the CA cannot make a certificate.
    pub fn leaf_for(
        &self,
        name: &str,
        host: &Host,
        class: NameClass,
        now: SystemTime,
    ) -> Result<Option<Issued>, CaError> {
        let Some((slot, withdrawn)) = self.state().admit(name, class, now) else { return Ok(None) };
        Ok(Some(Issued { leaf: self.current(&slot, host, now)?, withdrawn }))
    }

    /// Adds a name whose leaf an Envoy already holds, if there is room. [`Self::renewed`] mints its leaf.
    pub fn readmit(&self, name: &str, class: NameClass, now: SystemTime) {
        let mut state = self.state();
        if !state.queues.of_class(class).is_full() && !state.entries.contains_key(name) {
            state.insert(name, class, now);
        }
    }

    /// Returns the current leaf for a name that an Envoy holds, and renews it if it is due and the renewal rate
    /// allows. This does not count as a request, so the name keeps its place in the eviction order.
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

    /// Records that a client made a request under this name.
    pub fn used(&self, name: &str, now: SystemTime) {
        let mut state = self.state();
        if let Some((name, _)) = state.entries.get_key_value(name) {
            let name = Arc::clone(name);
            state.touch(&name, true, now);
        }
    }

    /// A number that orders names by their last use: higher is later, and zero means never used.
    pub fn last_use(&self, name: &str) -> u64 {
        let state = self.state();
        state.entries.get(name).map_or(0, |entry| if entry.key.used { entry.key.at } else { 0 })
    }

    /// Assigns every name to its class again after the policy has changed.
    pub fn reclassify(&self, class: impl Fn(&str) -> NameClass) {
        let mut state = self.state();
        let State { entries, queues, .. } = &mut *state;
        queues.listed.order.clear();
        queues.other.order.clear();
        for (name, entry) in entries {
            entry.class = class(name);
            queues.of_class(entry.class).order.insert(entry.key, Arc::clone(name));
        }
    }

    /// Removes one name that is idle or beyond the limit, if there is one. The caller must withdraw it from the
    /// Envoys that hold it.
    pub fn reap(&self, now: SystemTime) -> Option<Arc<str>> {
        let mut state = self.state();
        let State { entries, queues, .. } = &mut *state;
        let is_idle = |name: &&Arc<str>| {
            let entry = entries.get(*name);
            entry.is_some_and(|entry| {
                now.duration_since(entry.used_at).is_ok_and(|idle| idle >= self.limits.idle)
            })
        };
        let found = [&queues.other, &queues.listed].into_iter().find_map(|queue| {
            if queue.order.len() > queue.live {
                return queue.order.values().next();
            }
            // The queue holds never-used names first. The longest idle name is the first of them, or the first of the
            // used names.
            let first_used =
                queue.order.range(EvictionKey { used: true, at: 0 }..).map(|(_, name)| name).next();
            queue.order.values().next().filter(is_idle).or(first_used.filter(is_idle))
        });
        let name = Arc::clone(found?);
        state.remove(&name);
        Some(name)
    }

    /// Returns the slot's leaf, and mints or renews it once for all callers that wait for it.
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
    /// Returns the slot of a name, and the name that was evicted for it. `None` means that there is no room.
    fn admit(&mut self, name: &str, class: NameClass, now: SystemTime) -> Option<(Slot, Option<Arc<str>>)> {
        if let Some((name, entry)) = self.entries.get_key_value(name) {
            let (name, slot, used) = (Arc::clone(name), Arc::clone(&entry.leaf), entry.key.used);
            self.touch(&name, used, now);
            return Some((slot, None));
        }
        let queue = self.queues.of_class(class);
        let full = queue.is_full();
        if full && !queue.replacing.take(now) {
            return None;
        }
        let withdrawn = if full { queue.order.pop_first().map(|(_, name)| name) } else { None };
        if let Some(name) = &withdrawn {
            self.entries.remove(name);
        }
        Some((self.insert(name, class, now), withdrawn))
    }

    fn insert(&mut self, name: &str, class: NameClass, now: SystemTime) -> Slot {
        let name: Arc<str> = name.into();
        let key = self.next_key(false);
        let leaf = Slot::default();
        let entry = Entry { class, key, used_at: now, leaf: Arc::clone(&leaf) };
        self.queues.of_class(class).order.insert(key, Arc::clone(&name));
        self.entries.insert(name, entry);
        leaf
    }

    fn touch(&mut self, name: &Arc<str>, used: bool, now: SystemTime) {
        let key = self.next_key(used);
        let Some(entry) = self.entries.get_mut(name) else { return };
        let before = std::mem::replace(&mut entry.key, key);
        entry.used_at = now;
        let order = &mut self.queues.of_class(entry.class).order;
        order.remove(&before);
        order.insert(key, Arc::clone(name));
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.queues.of_class(entry.class).order.remove(&entry.key);
        }
    }

    fn next_key(&mut self, used: bool) -> EvictionKey {
        self.clock += 1;
        EvictionKey { used, at: self.clock }
    }
}

/// Locks a mutex, even a poisoned one. No guarded value is ever left half-changed, so a panic in another thread does
/// no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
