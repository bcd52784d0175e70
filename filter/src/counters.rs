//! The counters of the host's own metrics: one for each effect and reason, and one for tunnels.

use crate::hostcalls::{CounterId, Hostcalls};
use weir_policy::{Effect, Reason};

const REASONS: usize = Reason::ALL.len();

/// The counters of the filter, defined once and shared by its workers.
///
/// A counter without a handle counts nothing: a decision stands whether or not the host can count it.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Reasons are in the order of their declaration.
    allowed: [Option<CounterId>; REASONS],
    denied: [Option<CounterId>; REASONS],
    tunnels: Option<CounterId>,
}

/// Counters that count nothing, for requests that precede every configuration.
impl Default for Counters {
    fn default() -> Self {
        Self { allowed: [None; REASONS], denied: [None; REASONS], tunnels: None }
    }
}

impl Counters {
    /// Defines every counter that the filter can increment: `weir_decisions.effect.<effect>.reason.<reason>` and
    /// `weir_tunnels`.
    ///
    /// `define` returns the host's handle, or none if the host cannot define the counter.
    pub fn define(mut define: impl FnMut(&str) -> Option<CounterId>) -> Self {
        let mut defined = Self { tunnels: define("weir_tunnels"), ..Self::default() };
        for (effect, counters) in [(Effect::Allow, &mut defined.allowed), (Effect::Deny, &mut defined.denied)]
        {
            for (counter, reason) in counters.iter_mut().zip(Reason::ALL) {
                if is_possible(effect, reason) {
                    let (effect, reason) = (effect.as_str(), reason.as_str());
                    *counter = define(&format!("weir_decisions.effect.{effect}.reason.{reason}"));
                }
            }
        }
        defined
    }

    /// Counts a decision.
    pub fn count(&self, host: &impl Hostcalls, effect: Effect, reason: Reason) {
        let counters = match effect {
            Effect::Allow => &self.allowed,
            Effect::Deny => &self.denied,
        };
        increment(host, counters.get(reason as usize).copied().flatten());
    }

    /// Counts an admitted CONNECT. A CONNECT is no decision: the filter judges each request inside the tunnel.
    pub fn count_tunnel(&self, host: &impl Hostcalls) {
        increment(host, self.tunnels);
    }
}

fn increment(host: &impl Hostcalls, counter: Option<CounterId>) {
    if let Some(counter) = counter {
        // A failure changes nothing about the decision, and is of interest to nobody else.
        let _ = host.increment_counter(counter);
    }
}

/// Returns whether the filter can make a decision with this effect and reason. Envoy makes the others, and reports them
/// in its access log.
fn is_possible(effect: Effect, reason: Reason) -> bool {
    match reason {
        Reason::Allowed | Reason::OpenMode => effect == Effect::Allow,
        // A mode of the policy may allow these requests all the same.
        Reason::HostNotAllowed
        | Reason::TlsNotAllowed
        | Reason::SchemeNotAllowed
        | Reason::PortNotAllowed
        | Reason::MethodNotAllowed
        | Reason::PathNotAllowed
        | Reason::DeniedByRule
        | Reason::DeniedByRego
        | Reason::RegoError
        | Reason::InvalidHost
        | Reason::AddressLiteral
        | Reason::InvalidMethod
        | Reason::AmbiguousPath
        | Reason::MissingSni
        | Reason::SniMismatch
        | Reason::TunnelMismatch => true,
        Reason::ProxyCredentialsRequired
        | Reason::PolicyMissing
        | Reason::FilterFailure
        | Reason::MalformedRequest
        | Reason::Overloaded => effect == Effect::Deny,
        Reason::AddressNotAllowed
        | Reason::DnsFailure
        | Reason::CertificateNotVerified
        | Reason::UpstreamUnreachable
        | Reason::RequestTooLarge
        | Reason::UnsupportedRequest => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostcalls::in_memory::{self, InMemory};
    use std::collections::HashSet;

    #[test]
    fn each_decision_has_a_counter_of_its_own() {
        let host = InMemory::default();
        let counters = in_memory::counters();
        for _ in 0..3 {
            counters.count(&host, Effect::Deny, Reason::HostNotAllowed);
        }
        counters.count(&host, Effect::Allow, Reason::Allowed);
        counters.count_tunnel(&host);
        assert_eq!(host.counter("weir_decisions.effect.deny.reason.host_not_allowed"), 3);
        assert_eq!(host.counter("weir_decisions.effect.allow.reason.allowed"), 1);
        assert_eq!(host.counter("weir_tunnels"), 1);
        assert_eq!(host.counted(), 5);
    }

    #[test]
    fn each_reason_is_counted_under_its_own_name() {
        for effect in [Effect::Allow, Effect::Deny] {
            for reason in Reason::ALL.into_iter().filter(|reason| is_possible(effect, *reason)) {
                let host = InMemory::default();
                in_memory::counters().count(&host, effect, reason);
                let name = format!("weir_decisions.effect.{}.reason.{}", effect.as_str(), reason.as_str());
                assert_eq!(host.counter(&name), 1, "{name}");
            }
        }
    }

    #[test]
    fn a_counter_is_defined_once() {
        let mut names = HashSet::new();
        Counters::define(|name| {
            assert!(names.insert(name.to_owned()), "{name}");
            None
        });
        assert!(names.contains("weir_tunnels"));
        assert!(!names.contains("weir_decisions.effect.deny.reason.allowed"));
    }

    #[test]
    fn a_counter_that_cannot_be_defined_is_not_incremented() {
        let host = InMemory::default();
        let counters = Counters::define(|_| None);
        counters.count(&host, Effect::Deny, Reason::HostNotAllowed);
        counters.count_tunnel(&host);
        assert_eq!(host.calls(), 0);
    }
}
