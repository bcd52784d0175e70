//! The hosts of one node that have a cluster, and so a TLS context, of their own. The state is plain: it has no
//! sockets, and the caller supplies the time.
//!
//! ```text
//!           cluster accepted            idle                table accepted          drained
//! Offered ──────────────────▶ Routed ─────────▶ Leaving ──────────────────▶ Draining ──────▶ gone
//!                                └──────◀─ used ───┴────────────◀─ used ────────┘
//! ```
//! A request never waits for a context of its own. It takes the cluster that all hosts share until the node has
//! accepted the host's cluster, and again as soon as the host leaves. A route never names a cluster that the node may
//! lack: the node gets the route after it has accepted the cluster, and loses the cluster after it has accepted a
//! route table without the route.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use weir_policy::Host;

use crate::envoy::resources::names;

/// The limits on the hosts with a context on one node, and on their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextLimits {
    /// The maximum number of contexts at a time. Each context costs Envoy a trust store, about 9 KB for each root,
    /// and 1.2 KB for each name in the DNS cache. A new context also costs Envoy time for each of them.
    pub most: usize,
    /// A host that was unused for this time may be replaced by another.
    pub idle: Duration,
    /// A host that was unused for this time loses its context, to free the memory.
    pub forgotten: Duration,
    /// The longest time that a request may take from its choice of route to the cluster. It may have to wait for DNS.
    pub drain: Duration,
}

impl ContextLimits {
    /// Limits for a node that gets no contexts.
    pub const NONE: Self = Self { most: 0, ..Self::DEFAULT };

    /// The default covers the hosts that one workload uses again and again. With a system's 144 roots it costs Envoy
    /// 85 MB at most.
    pub const DEFAULT: Self = Self {
        most: 64,
        idle: Duration::from_secs(60),
        forgotten: Duration::from_secs(3600),
        drain: Duration::from_secs(30),
    };
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The hosts that have a context, and the node's progress with each.
#[derive(Debug)]
pub struct HostContexts {
    limits: ContextLimits,
    hosts: HashMap<Host, HostContext>,
}

#[derive(Debug)]
struct HostContext {
    stage: Stage,
    used: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Weir has sent the cluster; the node has not accepted it yet.
    Offered,
    /// Requests to the host use its cluster.
    Routed,
    /// Weir has sent a route table without the host; the node has not accepted it yet.
    Leaving,
    /// No new request uses the cluster; earlier ones may.
    Draining { since: Instant },
}

impl HostContexts {
    /// Creates a state without contexts.
    pub fn new(limits: ContextLimits) -> Self {
        Self { limits, hosts: HashMap::new() }
    }

    /// Takes over the clusters that a reconnecting node reports. Each counts as routed, so that no cluster is removed
    /// before the node is known to have no route to it.
    pub fn adopt<'n>(&mut self, clusters: impl IntoIterator<Item = &'n str>, now: Instant) {
        for host in clusters.into_iter().filter_map(names::host_of_cluster) {
            let stage = if self.hosts.len() < self.limits.most { Stage::Routed } else { Stage::Leaving };
            self.hosts.insert(host, HostContext { stage, used: now });
        }
    }

    /// Records a request to the host whose certificate was verified. Returns whether the resources change.
    pub fn used(&mut self, host: &Host, now: Instant) -> bool {
        if self.limits.most == 0 || host.is_address() {
            return false;
        }
        if let Some(context) = self.hosts.get_mut(host) {
            context.used = now;
            let comes_back = matches!(context.stage, Stage::Leaving | Stage::Draining { .. });
            if comes_back {
                context.stage = Stage::Routed;
            }
            return comes_back;
        }
        if self.hosts.len() < self.limits.most {
            self.hosts.insert(*host, HostContext { stage: Stage::Offered, used: now });
            return true;
        }
        // The oldest idle host leaves. The new host gets its context at its next request.
        let routed = self.hosts.values_mut().filter(|context| context.stage == Stage::Routed);
        match routed.min_by_key(|context| context.used) {
            Some(oldest) if now.duration_since(oldest.used) >= self.limits.idle => {
                oldest.stage = Stage::Leaving;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Records that the node has accepted every cluster of [`clusters`](Self::clusters). Returns whether the
    /// resources change.
    pub fn clusters_accepted(&mut self) -> bool {
        self.turn(|stage| (*stage == Stage::Offered).then_some(Stage::Routed))
    }

    /// Records that the node has rejected a cluster. The node gets no more clusters, and its existing ones are phased
    /// out.
    pub fn rejected(&mut self) {
        self.limits.most = 0;
        self.hosts.retain(|_, context| context.stage != Stage::Offered);
        self.turn(|stage| (*stage == Stage::Routed).then_some(Stage::Leaving));
    }

    /// Records that the node has accepted a route table with routes to [`routed`](Self::routed) alone.
    pub fn table_accepted(&mut self, now: Instant) {
        self.turn(|stage| (*stage == Stage::Leaving).then_some(Stage::Draining { since: now }));
    }

    /// Moves contexts on whose time is over. Returns whether the resources change.
    pub fn expire(&mut self, now: Instant) -> bool {
        let count = self.hosts.len();
        self.hosts.retain(|_, context| match context.stage {
            Stage::Draining { since } => now.duration_since(since) < self.limits.drain,
            Stage::Offered | Stage::Routed | Stage::Leaving => true,
        });
        let mut left = false;
        for context in self.hosts.values_mut() {
            if context.stage == Stage::Routed && now.duration_since(context.used) >= self.limits.forgotten {
                context.stage = Stage::Leaving;
                left = true;
            }
        }
        left || self.hosts.len() < count
    }

    /// The earliest time at which [`expire`](Self::expire) has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        let expiries = self.hosts.values().filter_map(|context| match context.stage {
            Stage::Draining { since } => Some(since + self.limits.drain),
            Stage::Routed => Some(context.used + self.limits.forgotten),
            Stage::Offered | Stage::Leaving => None,
        });
        expiries.min()
    }

    /// The hosts whose clusters the node should hold, sorted by name.
    pub fn clusters(&self) -> Vec<&Host> {
        self.sorted(|_| true)
    }

    /// The hosts for which the node's route table should name their own cluster, sorted by name.
    pub fn routed(&self) -> Vec<&Host> {
        self.sorted(|stage| stage == Stage::Routed)
    }

    fn sorted(&self, wanted: impl Fn(Stage) -> bool) -> Vec<&Host> {
        let hosts = self.hosts.iter().filter(|(_, context)| wanted(context.stage));
        let mut hosts: Vec<_> = hosts.map(|(host, _)| host).collect();
        hosts.sort_unstable_by_key(|host| host.as_str());
        hosts
    }

    /// Moves contexts to another stage and returns whether any moved.
    fn turn(&mut self, next: impl Fn(&Stage) -> Option<Stage>) -> bool {
        let mut any = false;
        for context in self.hosts.values_mut() {
            if let Some(stage) = next(&context.stage) {
                context.stage = stage;
                any = true;
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "a.example";
    const B: &str = "b.example";
    const IDLE: Duration = ContextLimits::DEFAULT.idle;
    const FORGOTTEN: Duration = ContextLimits::DEFAULT.forgotten;
    const DRAIN: Duration = ContextLimits::DEFAULT.drain;

    struct Node {
        contexts: HostContexts,
        now: Instant,
    }

    impl Node {
        fn new(most: usize) -> Self {
            Self {
                contexts: HostContexts::new(ContextLimits { most, ..ContextLimits::DEFAULT }),
                now: Instant::now(),
            }
        }

        fn uses(&mut self, host: &str) -> bool {
            self.contexts.used(&host.parse().unwrap(), self.now)
        }

        fn after(&mut self, time: Duration) -> bool {
            self.now += time;
            self.contexts.expire(self.now)
        }

        fn clusters(&self) -> Vec<&str> {
            self.contexts.clusters().into_iter().map(Host::as_str).collect()
        }

        fn routed(&self) -> Vec<&str> {
            self.contexts.routed().into_iter().map(Host::as_str).collect()
        }

        /// Creates a node whose route table names clusters for these hosts.
        fn routing(most: usize, hosts: &[&str]) -> Self {
            let mut node = Self::new(most);
            for host in hosts {
                assert!(node.uses(host));
            }
            assert!(node.contexts.clusters_accepted());
            node
        }
    }

    #[test]
    fn a_host_is_routed_only_after_its_cluster_was_accepted() {
        let mut node = Node::new(2);
        assert!(node.uses(A));
        assert_eq!((node.clusters(), node.routed()), (vec![A], vec![]));
        assert!(node.contexts.clusters_accepted());
        assert_eq!((node.clusters(), node.routed()), (vec![A], vec![A]));
        assert!(!node.contexts.clusters_accepted());
        assert!(!node.uses(A), "it is there already");
    }

    #[test]
    fn beyond_the_cap_a_host_waits_for_one_that_is_idle() {
        let mut node = Node::routing(1, &[A]);
        assert!(!node.uses(B));
        assert_eq!(node.routed(), [A]);
        node.after(IDLE);
        assert!(node.uses(B));
        assert_eq!((node.clusters(), node.routed()), (vec![A], vec![]));
        node.contexts.table_accepted(node.now);
        assert!(!node.uses(B), "the cluster that leaves still counts");
        assert!(node.after(DRAIN));
        assert!(node.uses(B));
        assert_eq!(node.clusters(), [B]);
    }

    #[test]
    fn the_one_that_was_used_last_stays() {
        let mut node = Node::routing(2, &[A, B]);
        node.after(IDLE);
        node.uses(A);
        assert!(node.uses("c.example"));
        assert_eq!(node.routed(), [A]);
    }

    #[test]
    fn a_cluster_goes_only_after_the_table_without_it_was_accepted_and_has_drained() {
        let mut node = Node::routing(1, &[A]);
        assert!(node.after(FORGOTTEN));
        assert_eq!((node.clusters(), node.routed()), (vec![A], vec![]));
        assert!(!node.after(DRAIN * 10), "the node has not accepted the table yet");
        node.contexts.table_accepted(node.now);
        assert_eq!(node.contexts.next_expiry(), Some(node.now + DRAIN));
        assert!(!node.after(DRAIN / 2));
        assert_eq!(node.clusters(), [A]);
        assert!(node.after(DRAIN / 2));
        assert_eq!(node.clusters(), [""; 0]);
        assert_eq!(node.contexts.next_expiry(), None);
    }

    #[test]
    fn a_host_that_is_used_while_it_leaves_comes_back() {
        for accepted in [false, true] {
            let mut node = Node::routing(1, &[A]);
            node.after(FORGOTTEN);
            if accepted {
                node.contexts.table_accepted(node.now);
            }
            assert!(node.uses(A));
            assert_eq!(node.routed(), [A]);
            assert!(!node.after(DRAIN));
        }
    }

    #[test]
    fn a_node_that_connects_again_keeps_its_contexts() {
        let mut node = Node::new(2);
        let held = [A, B].map(|host| names::host_cluster(&host.parse().unwrap()));
        let held = held.iter().map(String::as_str).chain([names::HTTPS_CLUSTER, names::HTTP_CLUSTER]);
        node.contexts.adopt(held, node.now);
        assert_eq!((node.clusters(), node.routed()), (vec![A, B], vec![A, B]));
    }

    #[test]
    fn a_node_that_may_have_none_any_more_leaves_them_in_order() {
        let mut node = Node::new(0);
        let held = names::host_cluster(&A.parse().unwrap());
        node.contexts.adopt([held.as_str()], node.now);
        assert_eq!((node.clusters(), node.routed()), (vec![A], vec![]));
        assert!(!node.uses(A));
        node.contexts.table_accepted(node.now);
        assert!(node.after(DRAIN));
        assert_eq!(node.clusters(), [""; 0]);
    }

    #[test]
    fn after_a_rejection_nothing_more_is_offered() {
        let mut node = Node::routing(3, &[A]);
        node.uses(B);
        node.contexts.rejected();
        assert_eq!((node.clusters(), node.routed()), (vec![A], vec![]));
        assert!(!node.uses(B));
    }

    #[test]
    fn an_address_has_no_server_name_and_no_context() {
        let mut node = Node::new(1);
        assert!(!node.uses("192.0.2.1"));
        assert!(!node.uses("[2001:db8::1]"));
    }
}
