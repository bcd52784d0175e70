//! The leaves in use: one a name, made on the first ask, replaced before their end, and bounded in number.
//!
//! Every name that an Envoy has asked for costs it memory (about 40 KB) until the name is withdrawn, and anybody
//! behind it can ask for any name by dialling it. So names outside the policy, which get a leaf only so that a
//! refusal can be read, have a small limit of their own and can never push out a name of the policy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use weir_policy::Host;

use super::leaf::Leaf;
use super::{Ca, CaError};

/// Whether the policy names a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A rule allows something there.
    Listed,
    /// Every request there will be refused.
    Unlisted,
}

/// How many names may have a leaf at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names of the policy.
    pub listed: usize,
    /// All other names.
    pub unlisted: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { listed: 2_000, unlisted: 50 }
    }
}

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
    pub withdrawn: Option<Host>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Host, Entry>,
    asks: u64,
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    /// The number of the last ask, which orders names by it.
    asked: u64,
    leaf: Slot,
}

/// The leaf of one name. Locked while it is made, so that concurrent asks for the name make it once and asks for
/// other names do not wait.
type Slot = Arc<Mutex<Option<Arc<Leaf>>>>;

impl Leaves {
    /// No leaves yet.
    #[must_use]
    pub fn new(ca: Arc<Ca>, limits: Limits) -> Self {
        Self { ca, limits, state: Mutex::default() }
    }

    /// The leaf of a name: the one in use, or a new one if there is none or it is time to renew it. At the limit the
    /// name whose last ask is longest ago goes.
    ///
    /// # Errors
    /// When the CA cannot make a certificate.
    pub fn leaf_for(&self, name: &Host, standing: Standing, now: SystemTime) -> Result<Issued, CaError> {
        let (slot, withdrawn) = self.state().slot(name, standing, self.limits);
        Ok(Issued { leaf: self.current(&slot, name, now)?, withdrawn })
    }

    /// The leaf of a name that is in use, a new one if it is time to renew it. `None` if the name has none. Not an ask:
    /// the name keeps its place among those that may have to go.
    ///
    /// # Errors
    /// When the CA cannot make a certificate.
    pub fn renewed(&self, name: &Host, now: SystemTime) -> Option<Result<Arc<Leaf>, CaError>> {
        let slot = Arc::clone(&self.state().entries.get(name)?.leaf);
        Some(self.current(&slot, name, now))
    }

    /// Sorts the names anew after a change of policy. Returns those that had to go because the names outside the
    /// policy are now beyond their limit.
    pub fn reclassify(&self, standing: impl Fn(&Host) -> Standing) -> Vec<Host> {
        let mut state = self.state();
        for (name, entry) in &mut state.entries {
            entry.standing = standing(name);
        }
        let mut withdrawn = Vec::new();
        for (standing, limit) in
            [(Standing::Listed, self.limits.listed), (Standing::Unlisted, self.limits.unlisted)]
        {
            while state.count(standing) > limit {
                withdrawn.extend(state.evict(standing));
            }
        }
        withdrawn
    }

    /// The leaf in a slot, made or renewed if need be, once for all who wait for it.
    fn current(&self, slot: &Slot, name: &Host, now: SystemTime) -> Result<Arc<Leaf>, CaError> {
        let mut held = lock(slot);
        if let Some(leaf) = held.as_ref().filter(|leaf| now < leaf.renew_at()) {
            return Ok(Arc::clone(leaf));
        }
        let leaf = Arc::new(self.ca.mint(name, now)?);
        *held = Some(Arc::clone(&leaf));
        Ok(leaf)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn slot(&mut self, name: &Host, standing: Standing, limits: Limits) -> (Slot, Option<Host>) {
        self.asks += 1;
        let asked = self.asks;
        let new = || Entry { standing, asked, leaf: Slot::default() };
        let entry = self.entries.entry(*name).or_insert_with(new);
        entry.asked = asked;
        entry.standing = standing;
        let leaf = Arc::clone(&entry.leaf);
        let limit = match standing {
            Standing::Listed => limits.listed,
            Standing::Unlisted => limits.unlisted,
        };
        let withdrawn = if self.count(standing) > limit { self.evict(standing) } else { None };
        (leaf, withdrawn)
    }

    fn count(&self, standing: Standing) -> usize {
        self.entries.values().filter(|entry| entry.standing == standing).count()
    }

    fn evict(&mut self, standing: Standing) -> Option<Host> {
        let candidates = self.entries.iter().filter(|(_, entry)| entry.standing == standing);
        let name = candidates.min_by_key(|(_, entry)| entry.asked).map(|(name, _)| *name)?;
        self.entries.remove(&name);
        Some(name)
    }
}

/// Nothing is left half-changed in what is guarded here, so a panic elsewhere does not make it wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ca, host, now};
    use super::*;
    use std::time::Duration;

    fn leaves(limits: Limits) -> (tempfile::TempDir, Leaves) {
        let (folder, ca) = ca();
        (folder, Leaves::new(Arc::new(ca), limits))
    }

    fn ask(leaves: &Leaves, name: &str, standing: Standing) -> Option<String> {
        let issued = leaves.leaf_for(&host(name), standing, now()).unwrap();
        issued.withdrawn.map(|name| name.as_str().to_owned())
    }

    #[test]
    fn renewing_a_name_is_no_ask_for_it() {
        let (_folder, leaves) = leaves(Limits { listed: 2, unlisted: 0 });
        assert!(leaves.renewed(&host("a.example"), now()).is_none(), "a name without a leaf is given none");
        for name in ["a.example", "b.example"] {
            ask(&leaves, name, Standing::Listed);
        }
        leaves.renewed(&host("a.example"), now()).unwrap().unwrap();
        assert_eq!(ask(&leaves, "c.example", Standing::Listed).as_deref(), Some("a.example"));
    }

    #[test]
    fn concurrent_asks_for_one_name_make_one_leaf() {
        let (_folder, leaves) = leaves(Limits::default());
        let name = host("a.example");
        let leaf = || leaves.leaf_for(&name, Standing::Listed, now()).unwrap().leaf;
        let made: Vec<Arc<Leaf>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(leaf)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
    }

    #[test]
    fn a_leaf_is_replaced_when_it_is_due_and_not_before() {
        let (_folder, leaves) = leaves(Limits::default());
        let name = host("a.example");
        let ask = |at| leaves.leaf_for(&name, Standing::Listed, at).unwrap().leaf;
        let first = ask(now());
        let due = first.renew_at();
        assert!(Arc::ptr_eq(&first, &ask(due - Duration::from_secs(1))));
        let second = leaves.renewed(&name, due).unwrap().unwrap();
        assert!(!Arc::ptr_eq(&first, &second) && second.not_after() > first.not_after());
        assert!(Arc::ptr_eq(&second, &ask(due)));
    }

    #[test]
    fn names_outside_the_policy_never_push_out_a_name_of_the_policy() {
        let (_folder, leaves) = leaves(Limits { listed: 2, unlisted: 1 });
        assert_eq!(ask(&leaves, "a.example", Standing::Listed), None);
        assert_eq!(ask(&leaves, "x.example", Standing::Unlisted), None);
        assert_eq!(ask(&leaves, "y.example", Standing::Unlisted).as_deref(), Some("x.example"));
        assert_eq!(ask(&leaves, "b.example", Standing::Listed), None);
        assert_eq!(ask(&leaves, "a.example", Standing::Listed), None);
        assert_eq!(ask(&leaves, "c.example", Standing::Listed).as_deref(), Some("b.example"));
    }

    #[test]
    fn a_name_that_lost_its_standing_counts_with_the_others_from_its_next_ask() {
        let (_folder, leaves) = leaves(Limits { listed: 1, unlisted: 1 });
        ask(&leaves, "a.example", Standing::Listed);
        ask(&leaves, "x.example", Standing::Unlisted);
        assert_eq!(ask(&leaves, "a.example", Standing::Unlisted).as_deref(), Some("x.example"));
        assert_eq!(ask(&leaves, "b.example", Standing::Listed), None);
    }

    #[test]
    fn a_change_of_policy_moves_names_and_keeps_the_limits() {
        let (_folder, leaves) = leaves(Limits { listed: 3, unlisted: 1 });
        for name in ["a.example", "b.example", "c.example"] {
            ask(&leaves, name, Standing::Listed);
        }
        let kept = host("c.example");
        let listed = |name: &Host| if *name == kept { Standing::Listed } else { Standing::Unlisted };
        assert_eq!(leaves.reclassify(listed), [host("a.example")]);
        assert_eq!(ask(&leaves, "x.example", Standing::Unlisted).as_deref(), Some("b.example"));
    }
}
