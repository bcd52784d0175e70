//! The names that have a leaf, in eviction order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::token_bucket::TokenBucket;
use super::limits::{Limit, NameClass};

/// One eviction queue for each class of names.
#[derive(Debug)]
pub(super) struct EvictionQueues {
    pub(super) listed: Queue,
    pub(super) other: Queue,
}

/// The names of one class in eviction order.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) order: BTreeMap<EvictionKey, Arc<str>>,
    pub(super) live: usize,
    pub(super) replacing: TokenBucket,
}

/// A name's position in the eviction order. Names that were requested and never used come first, because a client
/// that connects to random names leaves those behind. The other names follow by their last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EvictionKey {
    pub(super) used: bool,
    pub(super) at: u64,
}

impl EvictionQueues {
    pub(super) fn of_class(&mut self, class: NameClass) -> &mut Queue {
        match class {
            NameClass::Listed => &mut self.listed,
            NameClass::Other => &mut self.other,
        }
    }
}

impl Queue {
    pub(super) fn new(limit: Limit) -> Self {
        let burst = u32::try_from(limit.live).unwrap_or(u32::MAX);
        Self {
            order: BTreeMap::new(),
            live: limit.live,
            replacing: TokenBucket::new(burst, limit.replaced_per_second),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.order.len() >= self.live
    }
}
