//! Upstream connections that serve one client's connection alone, because a server may authenticate the connection and
//! not the request (NTLM, Negotiate).
//!
//! Such a server answers every later request of the connection in the name of its first user, also one without
//! credentials. Envoy pools upstream connections by a filter state ([`SEPARATED`]), in which the filter writes the
//! number of the client's connection.
//!
//! Envoy closes the connections of a pool [`IDLE_SECONDS`] after their last request, whether or not the client has gone,
//! and opens the first connection of each pool whatever its circuit breakers say. The filter therefore counts the pools
//! that may have a connection, and denies a request that would need one too many. A filter that Envoy starts anew counts
//! from zero.

use crate::facts::Facts;
use crate::hostcalls::{FailedCall, Hostcalls};
use crate::upstream::Destination;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use thiserror::Error;
use weir_contract::filter_state::SEPARATED;
use weir_contract::separation::IDLE_SECONDS;
use weir_policy::Upstream;

/// Nanoseconds after its last request until a pool has no connection left: Envoy's timeout, and a second for its timers.
const LIFE: u64 = (IDLE_SECONDS + 1) * 1_000_000_000;

/// The separate pools of one worker, each of one client's connection and one destination.
#[derive(Debug, Default)]
pub struct Separations {
    pools: RefCell<BTreeMap<Pool, Usage>>,
    /// The pool of each request that has not ended, by the host's number of the request.
    requests: RefCell<BTreeMap<u32, Pool>>,
}

/// Pools of one destination are neighbours in the order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pool {
    destination: String,
    connection: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// The requests that have not ended.
    requests: u32,
    /// The time at which the last request ended.
    idle_since: u64,
}

impl Usage {
    /// Returns whether the pool may have a connection.
    fn is_alive(self, now: u64) -> bool {
        self.requests > 0 || now.saturating_sub(self.idle_since) <= LIFE
    }
}

/// An error for a request that has no upstream connection of its own and must not share one.
#[derive(Debug, Error)]
pub enum NotSeparated {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] FailedCall),
    /// The worker has as many pools as it may have.
    #[error("too many upstream connections serve one client's connection alone")]
    Full,
}

impl Separations {
    /// Gives the request a pool of its client's connection if it has credentials that may authenticate a connection, or
    /// if an earlier request of the connection to the destination had some. The request counts until [`end`](Self::end).
    ///
    /// # Errors
    /// When the request needs a pool that it cannot have. The caller must deny it.
    pub fn separate(
        &self,
        host: &impl Hostcalls,
        facts: &Facts<'_>,
        to: &Destination<'_>,
        limit: u16,
    ) -> Result<(), NotSeparated> {
        let authenticates = facts.authenticates_connection;
        // Most workers have no such pool, and then no other request costs anything.
        if !authenticates && self.pools.borrow().is_empty() {
            return Ok(());
        }
        let mut pool = Pool { destination: destination(facts, to), connection: 0 };
        if !authenticates && !self.has_destination(&pool) {
            return Ok(());
        }
        pool.connection = host.connection_id()?;
        let now = host.monotonic_time()?;
        let connection = pool.connection;
        if self.enter(host.request_id(), pool, now, authenticates, limit)? {
            host.set_filter_state(SEPARATED, address(connection).as_bytes())?;
        }
        Ok(())
    }

    /// Ends a request. `now` is called for a request that has a separate pool.
    pub fn end(&self, request: u32, now: impl FnOnce() -> Option<u64>) {
        let Some(pool) = self.requests.borrow_mut().remove(&request) else { return };
        if let Some(usage) = self.pools.borrow_mut().get_mut(&pool) {
            usage.requests = usage.requests.saturating_sub(1);
            // A pool of unknown age stays.
            usage.idle_since = now().unwrap_or(u64::MAX);
        }
    }

    /// Returns whether a pool has the destination of this one, for any connection.
    fn has_destination(&self, first: &Pool) -> bool {
        let pools = self.pools.borrow();
        pools.range(first..).next().is_some_and(|(pool, _)| pool.destination == first.destination)
    }

    /// Counts a request to its pool. Returns whether the request has the pool.
    fn enter(
        &self,
        request: u32,
        pool: Pool,
        now: u64,
        authenticates: bool,
        limit: u16,
    ) -> Result<bool, NotSeparated> {
        let mut pools = self.pools.borrow_mut();
        // A pool without a connection left keeps no identity.
        let known = pools.get(&pool).is_some_and(|usage| usage.is_alive(now));
        if !known {
            if !authenticates {
                return Ok(false);
            }
            pools.retain(|_, usage| usage.is_alive(now));
            if pools.len() >= usize::from(limit) {
                return Err(NotSeparated::Full);
            }
        }
        let usage = pools.entry(pool.clone()).or_default();
        usage.requests = usage.requests.saturating_add(1);
        self.requests.borrow_mut().insert(request, pool);
        Ok(true)
    }
}

/// Describes the properties of a destination that select its connection pools in Envoy, except the client's connection.
fn destination(facts: &Facts<'_>, to: &Destination<'_>) -> String {
    let upgrade = if facts.upgrades_to_websocket { "upgrade" } else { "" };
    let upstream = to.upstream.as_ref().map_or(0, Upstream::key);
    format!("{} {} {upgrade} {upstream:x}", to.authority, facts.scheme().as_str())
}

/// Writes the number of a connection as an address: the lower half of an IPv6 address. The connection manager makes the
/// object from it that Envoy takes into the key of the pool. No other object has a hash before 1.37.
fn address(connection: u64) -> String {
    let [a, b, c, d, e, f, g, h] = Ipv6Addr::from(u128::from(connection)).segments();
    format!("[{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{g:x}:{h:x}]:1")
}

#[cfg(test)]
mod tests;
