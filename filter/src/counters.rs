//! One counter for each effect and reason, and one for tunnels, for the host's own metrics.

use crate::hostcalls::{CounterId, Hostcalls};
use std::cell::{Cell, OnceCell};
use weir_policy::{Effect, Reason};

/// The counters of one filter instance; each is defined when its first decision falls.
#[derive(Default)]
pub struct Counters {
    /// Reasons are few, and the common ones come first by themselves: a scan beats a table.
    defined: Cell<Vec<(Effect, Reason, Option<CounterId>)>>,
    tunnels: OnceCell<Option<CounterId>>,
}

impl Counters {
    /// Counts a decision as `weir_decisions.effect.<effect>.reason.<reason>`.
    ///
    /// Failures are not errors: a decision stands whether or not it could be counted. A counter that could not be
    /// defined is not tried again.
    pub fn count(&self, host: &impl Hostcalls, effect: Effect, reason: Reason) {
        let mut defined = self.defined.take();
        let known = defined.iter().find(|(e, r, _)| (*e, *r) == (effect, reason)).map(|(_, _, id)| *id);
        let id = known.unwrap_or_else(|| {
            let name = format!("weir_decisions.effect.{}.reason.{}", effect.as_str(), reason.as_str());
            let id = host.define_counter(&name).ok();
            defined.push((effect, reason, id));
            id
        });
        self.defined.set(defined);
        increment(host, id);
    }

    /// Counts a tunnel that was let in, as `weir_tunnels`. It is no decision: what comes out of it is judged by itself.
    pub fn count_tunnel(&self, host: &impl Hostcalls) {
        increment(host, *self.tunnels.get_or_init(|| host.define_counter("weir_tunnels").ok()));
    }
}

fn increment(host: &impl Hostcalls, id: Option<CounterId>) {
    if let Some(id) = id {
        // Without the stream that was just counted there is nobody left to tell.
        let _ = host.increment_counter(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostcalls::in_memory::InMemory;

    #[test]
    fn a_counter_is_defined_once_and_counts_every_decision() {
        let host = InMemory::default();
        let counters = Counters::default();
        for _ in 0..3 {
            counters.count(&host, Effect::Deny, Reason::HostNotAllowed);
        }
        counters.count(&host, Effect::Allow, Reason::Allowed);
        assert_eq!(host.counter("weir_decisions.effect.deny.reason.host_not_allowed"), 3);
        assert_eq!(host.counter("weir_decisions.effect.allow.reason.allowed"), 1);
        assert_eq!(host.calls_of("define_metric"), 2);
    }

    #[test]
    fn a_counter_that_cannot_be_defined_is_not_tried_again() {
        let host = InMemory::default().broken("define_metric");
        let counters = Counters::default();
        counters.count(&host, Effect::Deny, Reason::HostNotAllowed);
        counters.count(&host, Effect::Deny, Reason::HostNotAllowed);
        assert_eq!(host.calls_of("define_metric"), 1);
        assert_eq!(host.calls_of("increment_metric"), 0);
    }
}
