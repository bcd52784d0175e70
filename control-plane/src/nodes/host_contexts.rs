//! The hosts of one node that have a cluster, and so a TLS context, of their own: plain state, without sockets and
//! without a clock of its own.
//!
//! ```text
//!           cluster accepted            idle                table accepted          drained
//! Offered ──────────────────▶ Routed ─────────▶ Leaving ──────────────────▶ Draining ──────▶ gone
//!                                └──────◀─ used ───┴────────────◀─ used ────────┘
//! ```
//! Nothing ever waits for a context: until the node has accepted the cluster, and again as soon as a host is to leave,
//! its requests take the cluster that all hosts share. A route never leads to a cluster that the node may not have: it
//! comes after the cluster was accepted, and the cluster goes after the table without the route was.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use weir_policy::Host;

use crate::resources::names;

/// How many hosts have a context on one node, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most of them at a time. Each costs Envoy a trust store, about 9 KB for each root, and 1.2 KB for each name in
    /// the DNS cache, which also costs each of them time when it is new.
    pub most: usize,
    /// A host that nobody asked for during this time makes room for another.
    pub idle: Duration,
    /// A host that nobody asked for during this time gives its memory back.
    pub forgotten: Duration,
    /// How long a request that has chosen its route may take to reach the cluster: it may have to wait for DNS.
    pub drain: Duration,
}

impl Limits {
    /// For a node that is to have none.
    pub const NONE: Self = Self { most: 0, ..Self::DEFAULT };

    /// As many hosts as one workload goes to again and again; with a system's 144 roots 85 MB of Envoy at the most.
    pub const DEFAULT: Self = Self {
        most: 64,
        idle: Duration::from_secs(60),
        forgotten: Duration::from_secs(3600),
        drain: Duration::from_secs(30),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which hosts have a context, and how far the node is with each.
#[derive(Debug)]
pub struct HostContexts {
    limits: Limits,
    hosts: HashMap<Host, HostContext>,
}

#[derive(Debug)]
struct HostContext {
    stage: Stage,
    used: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The node is being sent the cluster.
    Offered,
    /// Requests go over the cluster.
    Routed,
    /// The node is being sent a table without the host.
    Leaving,
    /// No new request goes over the cluster.
    Draining { since: Instant },
}

impl HostContexts {
    /// None so far.
    pub fn new(limits: Limits) -> Self {
        Self { limits, hosts: HashMap::new() }
    }

    /// Goes on with the clusters that a node says it holds when it connects again. They are taken for routed: that way
    /// none goes before the node's table is known not to lead there.
    pub fn adopt<'n>(&mut self, clusters: impl IntoIterator<Item = &'n str>, now: Instant) {
        for host in clusters.into_iter().filter_map(names::host_of_cluster) {
            let stage = if self.hosts.len() < self.limits.most { Stage::Routed } else { Stage::Leaving };
            self.hosts.insert(host, HostContext { stage, used: now });
        }
    }

    /// A request went to the host, and its certificate was verified. Returns whether that changes anything.
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
        // Its successor comes in when it is asked for once more.
        let routed = self.hosts.values_mut().filter(|context| context.stage == Stage::Routed);
        match routed.min_by_key(|context| context.used) {
            Some(oldest) if now.duration_since(oldest.used) >= self.limits.idle => {
                oldest.stage = Stage::Leaving;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The node has accepted every cluster of [`clusters`](Self::clusters). Returns whether that changes anything.
    pub fn clusters_accepted(&mut self) -> bool {
        self.turn(|stage| (*stage == Stage::Offered).then_some(Stage::Routed))
    }

    /// The node has rejected a cluster: it gets no more of them, and leaves those that it has.
    pub fn rejected(&mut self) {
        self.limits.most = 0;
        self.hosts.retain(|_, context| context.stage != Stage::Offered);
        self.turn(|stage| (*stage == Stage::Routed).then_some(Stage::Leaving));
    }

    /// The node has accepted a table that leads to [`routed`](Self::routed) alone.
    pub fn table_accepted(&mut self, now: Instant) {
        self.turn(|stage| (*stage == Stage::Leaving).then_some(Stage::Draining { since: now }));
    }

    /// Time has passed. Returns whether that changes anything.
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

    /// When [`expire`](Self::expire) has something to do at the earliest.
    pub fn next_expiry(&self) -> Option<Instant> {
        let expiries = self.hosts.values().filter_map(|context| match context.stage {
            Stage::Draining { since } => Some(since + self.limits.drain),
            Stage::Routed => Some(context.used + self.limits.forgotten),
            Stage::Offered | Stage::Leaving => None,
        });
        expiries.min()
    }

    /// The hosts whose clusters the node is to hold, in the order of their names.
    pub fn clusters(&self) -> Vec<&Host> {
        self.sorted(|_| true)
    }

    /// The hosts that the node's table is to lead to their clusters, in the order of their names.
    pub fn routed(&self) -> Vec<&Host> {
        self.sorted(|stage| stage == Stage::Routed)
    }

    fn sorted(&self, wanted: impl Fn(Stage) -> bool) -> Vec<&Host> {
        let hosts = self.hosts.iter().filter(|(_, context)| wanted(context.stage));
        let mut hosts: Vec<_> = hosts.map(|(host, _)| host).collect();
        hosts.sort_unstable_by_key(|host| host.as_str());
        hosts
    }

    /// Puts contexts into another stage; returns whether there was any.
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
    const IDLE: Duration = Limits::DEFAULT.idle;
    const FORGOTTEN: Duration = Limits::DEFAULT.forgotten;
    const DRAIN: Duration = Limits::DEFAULT.drain;

    struct Node {
        contexts: HostContexts,
        now: Instant,
    }

    impl Node {
        fn new(most: usize) -> Self {
            Self { contexts: HostContexts::new(Limits { most, ..Limits::DEFAULT }), now: Instant::now() }
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

        /// A node whose table leads to these hosts.
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
