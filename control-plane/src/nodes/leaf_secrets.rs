//! Leaves as xDS secrets: names that get a certificate, and names that are refused.
//!
//! Envoy requests a secret by the server name that the client sent, so the name is untrusted bytes. Envoy keeps an
//! entry for every name that it got an answer for, so each spelling of a host costs memory there. Spellings other
//! than the canonical one therefore share the limits of names outside the policy, and text that is not a host name
//! gets no certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use weir_policy::{Effect, Host, Policy, Scheme, Tunnel};
use weir_xds::{RenewedSecret, Resource, Secrets};

use crate::ca::leaves::{Leaves, NameClass, Renewal};
use crate::decision_log::LoggedDecision;
use crate::envoy::resources::secret;

/// The maximum number of events that a slow stream may fall behind.
const PENDING_EVENTS: usize = 256;
/// The interval at which idle names are sought.
const REAP_INTERVAL: Duration = Duration::from_secs(1);
/// The time between two withdrawals of idle names. Many at once would stall Envoy.
const BETWEEN_WITHDRAWALS: Duration = Duration::from_millis(5);

/// The TLS secrets with which Envoy intercepts connections.
#[derive(Debug)]
pub struct LeafSecrets {
    leaves: Leaves,
    policy: watch::Receiver<Arc<Policy>>,
    events: broadcast::Sender<SecretEvent>,
}

impl LeafSecrets {
    /// Creates secrets for the names of the current policy in the channel, and for a few other names.
    pub fn new(leaves: Leaves, policy: watch::Receiver<Arc<Policy>>) -> Self {
        let (events, _) = broadcast::channel(PENDING_EVENTS);
        Self { leaves, policy, events }
    }

    /// Assigns every name to its class again. To be called after the policy has changed.
    pub fn policy_changed(&self) {
        let policy = Arc::clone(&self.policy.borrow());
        self.leaves.reclassify(|name| {
            Host::parse(name.as_bytes()).map_or(NameClass::Other, |host| class(&policy, name, &host))
        });
    }

    /// Makes every node check each leaf that it holds. To be called after the CA has changed.
    pub fn signing_ca_changed(&self) {
        self.tell(SecretEvent::Renewal);
    }

    /// Withdraws the leaves of unused names, until the stream of decisions ends.
    pub async fn reap(&self, mut decisions: broadcast::Receiver<LoggedDecision>) {
        let mut reaping = interval(REAP_INTERVAL);
        reaping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pause = interval(BETWEEN_WITHDRAWALS);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut found = false;
        loop {
            tokio::select! {
                decision = decisions.recv() => match decision {
                    Ok(decision) => self.leaves.used(&decision.record.host, SystemTime::now()),
                    // Missed decisions only make some names look less used than they are.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = pause.tick(), if found => found = self.reap_one(),
                _ = reaping.tick(), if !found => found = self.reap_one(),
            }
        }
    }

    /// Returns the interval at which nodes should check for secrets that are due for renewal.
    pub fn renewal_interval(&self) -> Duration {
        self.leaves.ca().renewal_interval()
    }

    /// Subscribes to the events that concern the secrets of every node.
    pub fn events(&self) -> broadcast::Receiver<SecretEvent> {
        self.events.subscribe()
    }

    fn reap_one(&self) -> bool {
        let reaped = self.leaves.reap(SystemTime::now());
        let found = reaped.is_some();
        if let Some(name) = reaped {
            self.withdraw(name);
        }
        found
    }

    fn withdraw(&self, name: Arc<str>) {
        self.tell(SecretEvent::Withdrawn(name));
    }

    fn tell(&self, event: SecretEvent) {
        // Sending fails if there is no subscriber. No node holds a secret then.
        let _ = self.events.send(event);
    }

    /// Returns the host that a server name spells, if the CA can sign a certificate for it.
    fn certifiable(&self, name: &str) -> Option<Host> {
        let host = Host::parse(name.as_bytes()).ok().filter(|host| !host.is_address())?;
        self.leaves.ca().signing_ca().permits(&host).then_some(host)
    }

    fn class(&self, name: &str, host: &Host) -> NameClass {
        let policy = Arc::clone(&self.policy.borrow());
        class(&policy, name, host)
    }
}

impl Secrets for LeafSecrets {
    fn secret(&self, name: &str) -> Option<Arc<Resource>> {
        let refused = |why: &str| {
            tracing::debug!(
                name = name.escape_default().to_string(),
                why,
                "no certificate for this server name"
            );
        };
        let Some(host) = self.certifiable(name) else {
            refused("it is not a host name, or the CA may not sign for it");
            return None;
        };
        let issued = self
            .leaves
            .leaf_for(name, &host, self.class(name, &host), SystemTime::now())
            .inspect_err(|error| tracing::error!(name, %error, "cannot make a certificate"))
            .ok()?;
        let Some(issued) = issued else {
            refused("too many names were requested");
            return None;
        };
        if let Some(withdrawn) = issued.withdrawn {
            self.withdraw(withdrawn);
        }
        Some(Arc::new(secret::resource(name, &issued.leaf)))
    }

    fn readmit(&self, name: &str) {
        if let Some(host) = self.certifiable(name) {
            self.leaves.readmit(name, self.class(name, &host), SystemTime::now());
        }
    }

    fn renewed(&self, name: &str) -> RenewedSecret {
        let Some(host) = self.certifiable(name) else { return RenewedSecret::Gone };
        match self.leaves.renewed(name, &host, SystemTime::now()) {
            Ok(Renewal::Leaf(leaf)) => RenewedSecret::Current(Arc::new(secret::resource(name, &leaf))),
            Ok(Renewal::Later) => RenewedSecret::Later,
            Ok(Renewal::Gone) => RenewedSecret::Gone,
            Err(error) => {
                tracing::error!(name, %error, "cannot renew a certificate");
                RenewedSecret::Gone
            }
        }
    }

    fn last_use(&self, name: &str) -> u64 {
        self.leaves.last_use(name)
    }
}

/// An event that concerns the secrets of every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretEvent {
    /// Every node must drop this secret.
    Withdrawn(Arc<str>),
    /// Every secret may be due for renewal.
    Renewal,
}

/// Returns `Listed` if the name has its canonical spelling and a rule allows TLS requests on some port of the host.
fn class(policy: &Policy, name: &str, host: &Host) -> NameClass {
    let mut ports = policy.ports().filter(|port| port.scheme == Scheme::Https);
    let listed = name == host.as_str()
        && ports.any(|port| {
            let authority = format!("{}:{}", host.as_str(), port.number);
            policy.admit(&Tunnel { authority: authority.as_bytes(), judge_host: true }).effect
                == Effect::Allow
        });
    if listed { NameClass::Listed } else { NameClass::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::leaves::{LeafLimits, Limit};
    use crate::ca::tests::ca;

    fn secrets(limits: LeafLimits) -> (tempfile::TempDir, watch::Sender<Arc<Policy>>, LeafSecrets) {
        let (folder, ca) = ca();
        let policy = watch::Sender::new(policy("allowed_domains: [a.example, b.example]"));
        let secrets = LeafSecrets::new(Leaves::new(Arc::new(ca), limits), policy.subscribe());
        (folder, policy, secrets)
    }

    fn policy(document: &str) -> Arc<Policy> {
        Arc::new(weir_policy::compile(document).unwrap())
    }

    #[test]
    fn what_is_no_host_has_no_secret() {
        let (_folder, _policy, secrets) = secrets(LeafLimits::default());
        for name in ["", "127.0.0.1", "*.a.example", "a..example", "a.example:443", "\u{fc}.example"] {
            assert!(secrets.secret(name).is_none(), "{name}");
        }
        assert!(secrets.secret("unlisted.example").is_some(), "so that its denial can be read");
    }

    #[test]
    fn a_secret_is_the_same_until_it_is_renewed() {
        let (_folder, _policy, secrets) = secrets(LeafLimits::default());
        let version = || secrets.secret("a.example").unwrap().version.clone();
        assert_eq!(version(), version());
    }

    fn few(listed: usize, other: usize) -> LeafLimits {
        let limit = |live| Limit { live, replaced_per_second: 0 };
        LeafLimits { listed: limit(listed), other: limit(other), ..LeafLimits::default() }
    }

    fn gone_is(name: &str) -> SecretEvent {
        SecretEvent::Withdrawn(name.into())
    }

    /// Returns `count` spellings of one name that mix upper and lower case, none of them canonical.
    fn spellings(count: u32) -> impl Iterator<Item = String> {
        (1..=count).map(|bits| {
            let letters = "a.example".char_indices();
            let spell = |(index, letter): (usize, char)| {
                if bits << 2 >> index & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
            };
            letters.map(spell).collect::<String>()
        })
    }

    #[test]
    fn other_spellings_are_bounded_make_room_for_each_other_and_never_for_the_canonical_one() {
        let (_folder, _policy, secrets) = secrets(few(1, 4));
        let mut withdrawn = secrets.events();
        assert!(secrets.secret("a.example").is_some());
        let spelled: Vec<String> = spellings(64).collect();
        let served: Vec<_> = spelled.iter().filter(|name| secrets.secret(name).is_some()).collect();
        assert_eq!(served.len(), 8, "four, and four that took their places at once");
        let gone: Vec<_> = std::iter::from_fn(|| withdrawn.try_recv().ok()).collect();
        assert_eq!(gone, served[..4].iter().map(|name| gone_is(name)).collect::<Vec<_>>());
        assert!(matches!(secrets.renewed("a.example"), RenewedSecret::Current(_)));
    }

    #[test]
    fn names_outside_the_policy_make_room_for_each_other_only() {
        let (_folder, _policy, secrets) = secrets(few(2, 1));
        let mut withdrawn = secrets.events();
        for name in ["a.example", "b.example", "x.example", "y.example"] {
            secrets.secret(name).unwrap();
        }
        assert_eq!(withdrawn.try_recv().unwrap(), gone_is("x.example"));
        assert!(withdrawn.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_drops_names_takes_their_leaves_back() {
        let (_folder, policies, secrets) = secrets(few(2, 1));
        let mut withdrawn = secrets.events();
        secrets.secret("a.example").unwrap();
        secrets.secret("b.example").unwrap();
        policies.send_replace(policy("allowed_domains: []"));
        secrets.policy_changed();
        let (_log, decisions) = broadcast::channel(1);
        let reaped = async { withdrawn.recv().await.unwrap() };
        tokio::select! {
            () = secrets.reap(decisions) => panic!("the reaper ended"),
            event = reaped => assert_eq!(event, gone_is("a.example")),
        }
        assert!(withdrawn.try_recv().is_err());
        assert!(matches!(secrets.renewed("b.example"), RenewedSecret::Current(_)));
    }
}
