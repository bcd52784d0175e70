//! One request, from its facts to its effect: the filter reads, decides, and then prepares the request for its upstream
//! or responds to it.
//!
//! Every failure on the way is a denial.

use crate::configuration::Configuration;
use crate::counters::Counters;
use crate::decision_id::{DecisionId, DecisionIds};
use crate::facts::{Facts, HeaderSelection, InvalidFacts};
use crate::hostcalls::{FailedCall, Hostcalls};
use crate::judged_request::JudgedRequest;
use crate::proxy_credentials::ProxyCredentials;
use crate::rego::{Evaluator, Rego};
use crate::separation::{NotSeparated, Separations};
use crate::upstream::{self, Destination};
use crate::{denial, record};
use std::rc::Rc;
use std::sync::Arc;
use thiserror::Error;
use weir_policy::{Decision, Effect, Reason, Tunnel};

/// The host's next step for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host forwards the request.
    Continue,
    /// The host forwards no part of the request. The filter has responded to it, or could not even do that.
    Stop,
}

/// Judges the requests of one worker under one configuration.
pub struct Judge {
    /// Without a configuration every request is denied.
    configuration: Option<Arc<Configuration>>,
    /// The engine for the configuration's Rego policy.
    rego: Option<Evaluator>,
    counters: Arc<Counters>,
    ids: Rc<DecisionIds>,
    separations: Rc<Separations>,
}

/// The reason why an allowed request cannot be forwarded.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Call(#[from] FailedCall),
    #[error(transparent)]
    Facts(#[from] InvalidFacts),
    #[error("a request was allowed without an authority to send it to")]
    NoAuthority,
    #[error("a request was allowed to go to an upstream that its rule does not have")]
    Upstream,
    #[error("too many upstream connections serve one client's connection alone")]
    Overloaded,
}

impl Failure {
    fn reason(&self) -> Reason {
        match self {
            Self::Overloaded => Reason::Overloaded,
            Self::Call(_) | Self::Facts(_) | Self::NoAuthority | Self::Upstream => Reason::FilterFailure,
        }
    }
}

impl From<NotSeparated> for Failure {
    fn from(cause: NotSeparated) -> Self {
        match cause {
            NotSeparated::Call(failed) => Self::Call(failed),
            NotSeparated::Full => Self::Overloaded,
        }
    }
}

impl Judge {
    /// Makes a worker's judge. All workers share the configuration and the counters. The Rego engine, the decision ids and
    /// the separate pools are the worker's own.
    pub fn new(
        configuration: Option<Arc<Configuration>>,
        counters: Arc<Counters>,
        ids: Rc<DecisionIds>,
        separations: Rc<Separations>,
    ) -> Self {
        let rego = configuration.as_ref().and_then(|configuration| configuration.rego.as_ref());
        let rego = rego.map(Rego::evaluator);
        Self { configuration, rego, counters, ids, separations }
    }

    /// Decides on the request of `host`, and carries out the decision.
    pub fn judge<H: Hostcalls>(&self, host: &H) -> Verdict {
        let id = self.ids.draw();
        let selection = if self.rego.as_ref().is_some_and(Evaluator::reads_headers) {
            HeaderSelection::Forwarded
        } else {
            HeaderSelection::Facts
        };
        let headers = host.request_headers();
        let read = match &headers {
            Ok(headers) => Facts::read(headers, selection).map_err(Failure::from),
            Err(failure) => Err(Failure::from(failure.clone())),
        };
        let (facts, read) = match read {
            Ok(facts) => (facts, Ok(())),
            Err(failure) => (Facts::default(), Err(failure)),
        };
        let mut judged = self.decide(host, id, &facts);
        if read.is_ok() && judged.decision.effect == Effect::Deny {
            return self.deny(host, &judged);
        }
        match read.and_then(|()| self.allow(host, &judged)) {
            Ok(()) => {
                if facts.asks_for_tunnel() {
                    self.counters.count_tunnel(host);
                } else {
                    self.counters.count(host, Effect::Allow, judged.decision.reason);
                }
                Verdict::Continue
            }
            Err(failure) => {
                let reason = failure.reason();
                // A client can cause the other reason as often as it likes.
                if reason == Reason::FilterFailure {
                    host.warn(&format!("decision {id}: {failure}"));
                }
                judged.decision = judged.decision.overruled(reason);
                self.deny(host, &judged)
            }
        }
    }

    fn decide<'a>(
        &'a self,
        host: &impl Hostcalls,
        id: DecisionId,
        facts: &'a Facts<'a>,
    ) -> JudgedRequest<'a> {
        let Some(configuration) = &self.configuration else {
            let decision = Decision::deny(Reason::PolicyMissing, None, None);
            return JudgedRequest { id, policy_version: None, facts, decision, rego_denial: None };
        };
        let policy_version = Some(configuration.version.as_str());
        if let Some(reason) = refusal(configuration, facts) {
            let decision = Decision::deny(reason, None, None);
            return JudgedRequest { id, policy_version, facts, decision, rego_denial: None };
        }
        let Configuration { policy, judge_connect_host, .. } = configuration.as_ref();
        let mut rego_denial = None;
        let mut decision = match &self.rego {
            _ if facts.asks_for_tunnel() => {
                policy.admit(&Tunnel { authority: &facts.authority, judge_host: *judge_connect_host })
            }
            _ if facts.passthrough => policy.pass(&facts.connection()),
            Some(rego) => {
                let combined = rego.decide(policy, facts);
                if let Some(failure) = combined.failure {
                    host.warn(&format!("decision {id}: the Rego policy gave no answer: {failure}"));
                }
                rego_denial = combined.rego_denial;
                combined.decision
            }
            None => policy.decide(&facts.request()),
        };
        if decision.effect == Effect::Allow && facts.claims_https_without_tls() && !facts.asks_for_tunnel() {
            decision = decision.overruled(Reason::SchemeNotAllowed);
        }
        JudgedRequest { id, policy_version, facts, decision, rego_denial }
    }

    /// Prepares an allowed request for its upstream. The record comes last, so that each record with `allow` belongs to
    /// a forwarded request.
    fn allow(&self, host: &impl Hostcalls, judged: &JudgedRequest<'_>) -> Result<(), Failure> {
        let JudgedRequest { facts, decision, .. } = judged;
        let authority = decision.authority.as_ref().ok_or(Failure::NoAuthority)?;
        if facts.asks_for_tunnel() {
            upstream::prepare_tunnel(host, facts, authority)?;
        } else {
            let upstream = judged.upstream();
            if upstream.is_some() != decision.upstream.is_some() {
                return Err(Failure::Upstream);
            }
            let address_set = decision.address_set;
            let destination = Destination { authority, upstream, address_set };
            if facts.passthrough {
                upstream::prepare_passthrough(host, facts, &destination)?;
            } else {
                let limit =
                    self.configuration.as_ref().map_or(0, |configuration| configuration.separate_pools);
                self.separations.separate(host, facts, &destination, limit)?;
                upstream::prepare(host, facts, &destination)?;
            }
        }
        record::export(host, judged)?;
        Ok(())
    }

    fn deny(&self, host: &impl Hostcalls, judged: &JudgedRequest<'_>) -> Verdict {
        self.counters.count(host, Effect::Deny, judged.decision.reason);
        // A denial holds without its record. It also holds without its response: the request then waits until it times out.
        for failure in [record::export(host, judged), host.send_local_response(&denial::response(judged))] {
            if let Err(failure) = failure {
                host.warn(&format!("decision {}: {failure}", judged.id));
            }
        }
        Verdict::Stop
    }
}

/// Returns the reason to refuse a request before the policy judges it. A refusal holds in each mode.
fn refusal(configuration: &Configuration, facts: &Facts<'_>) -> Option<Reason> {
    let refuses_client =
        |required: &ProxyCredentials| facts.to_proxy && !required.accept(&facts.proxy_authorization.0);
    if configuration.proxy_credentials.as_ref().is_some_and(refuses_client) {
        Some(Reason::ProxyCredentialsRequired)
    } else if facts.ambiguous_length {
        // A server that reads another length takes the rest of the content for a request that the filter never saw.
        Some(Reason::MalformedRequest)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
