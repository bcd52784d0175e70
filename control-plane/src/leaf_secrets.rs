//! Leaves as xDS secrets: which names get one, and which are refused.
//!
//! Envoy asks with the server name as the client sent it, so the name is a stranger's bytes. Envoy keeps every
//! name that it was answered, so each way of spelling a host costs memory there: other spellings than the
//! canonical one share a small limit, and what is not a host gets nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::{broadcast, watch};
use weir_policy::{Effect, Host, Policy, Scheme, Tunnel};

use crate::ca::leaves::{Leaves, Standing};
use crate::resources::secret;
use crate::snapshot::Resource;
use crate::xds::source::Secrets;

/// Spellings other than the canonical one (`EXAMPLE.com`, `example.com.`), over all hosts.
const OTHER_SPELLINGS: usize = 64;
/// Withdrawals that a slow stream may be behind.
const PENDING_WITHDRAWALS: usize = 256;

/// The secrets of one policy's interception.
#[derive(Debug)]
pub struct LeafSecrets {
    leaves: Leaves,
    policy: watch::Receiver<Arc<Policy>>,
    other_spellings: Mutex<BTreeSet<String>>,
    withdrawals: broadcast::Sender<String>,
}

impl LeafSecrets {
    /// Leaves for the names of whatever policy is in the channel, and a few for others.
    pub fn new(leaves: Leaves, policy: watch::Receiver<Arc<Policy>>) -> Self {
        let (withdrawals, _) = broadcast::channel(PENDING_WITHDRAWALS);
        Self { leaves, policy, other_spellings: Mutex::default(), withdrawals }
    }

    /// Takes back the leaves that the new policy leaves no room for. To be called when the policy has changed.
    pub fn policy_changed(&self) {
        let policy = Arc::clone(&self.policy.borrow());
        for host in self.leaves.reclassify(|host| standing(&policy, host)) {
            self.withdraw(&host);
        }
    }

    fn withdraw(&self, host: &Host) {
        // Nobody listening means that nobody holds it.
        let _ = self.withdrawals.send(host.as_str().to_owned());
    }

    fn spelling_is_admitted(&self, name: &str, host: &Host) -> bool {
        if name == host.as_str() {
            return true;
        }
        let mut spellings = self.other_spellings.lock().unwrap_or_else(PoisonError::into_inner);
        spellings.contains(name) || (spellings.len() < OTHER_SPELLINGS && spellings.insert(name.to_owned()))
    }
}

impl Secrets for LeafSecrets {
    fn secret(&self, name: &str) -> Option<Arc<Resource>> {
        let host = Host::parse(name.as_bytes()).ok()?;
        if host.is_address() || !self.spelling_is_admitted(name, &host) {
            tracing::info!(name = name.escape_default().to_string(), "no certificate for this server name");
            return None;
        }
        let policy = Arc::clone(&self.policy.borrow());
        let standing = standing(&policy, &host);
        let issued = self
            .leaves
            .leaf_for(&host, standing, SystemTime::now())
            .inspect_err(|error| tracing::error!(name, %error, "cannot make a certificate"))
            .ok()?;
        if let Some(withdrawn) = &issued.withdrawn {
            self.withdraw(withdrawn);
        }
        Some(Arc::new(secret::resource(name, &issued.leaf)))
    }

    fn renewed(&self, name: &str) -> Option<Arc<Resource>> {
        let host = Host::parse(name.as_bytes()).ok()?;
        let leaf = self
            .leaves
            .renewed(&host, SystemTime::now())?
            .inspect_err(|error| tracing::error!(name, %error, "cannot renew a certificate"))
            .ok()?;
        Some(Arc::new(secret::resource(name, &leaf)))
    }

    fn withdrawals(&self) -> broadcast::Receiver<String> {
        self.withdrawals.subscribe()
    }
}

/// Whether any rule allows anything over TLS on any port of the host.
fn standing(policy: &Policy, host: &Host) -> Standing {
    let mut ports = policy.ports().filter(|port| port.scheme == Scheme::Https);
    let listed = ports.any(|port| {
        let authority = format!("{}:{}", host.as_str(), port.number);
        policy.admit(&Tunnel { authority: authority.as_bytes(), judge_host: true }).effect == Effect::Allow
    });
    if listed { Standing::Listed } else { Standing::Unlisted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::leaves::Limits;
    use crate::ca::tests::ca;

    fn secrets(limits: Limits) -> (tempfile::TempDir, watch::Sender<Arc<Policy>>, LeafSecrets) {
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
        let (_folder, _policy, secrets) = secrets(Limits::default());
        for name in ["", "127.0.0.1", "*.a.example", "a..example", "a.example:443", "\u{fc}.example"] {
            assert!(secrets.secret(name).is_none(), "{name}");
        }
        assert!(secrets.secret("unlisted.example").is_some(), "so that its denial can be read");
    }

    #[test]
    fn a_secret_is_the_same_until_it_is_renewed() {
        let (_folder, _policy, secrets) = secrets(Limits::default());
        let version = || secrets.secret("a.example").unwrap().version.clone();
        assert_eq!(version(), version());
    }

    #[test]
    fn other_spellings_are_served_and_bounded() {
        let (_folder, _policy, secrets) = secrets(Limits::default());
        let spellings = (0..10_u32).flat_map(|bits| {
            let name: String = "abcdefghij.example".to_owned();
            (0..10_u32).map(move |shift| {
                let upper = |(index, letter): (usize, char)| {
                    let raised = (bits << 4 | shift) >> index & 1 == 1;
                    if raised { letter.to_ascii_uppercase() } else { letter }
                };
                name.chars().enumerate().map(upper).collect::<String>()
            })
        });
        let served = spellings.filter(|name| secrets.secret(name).is_some()).count();
        // One of the spellings is the canonical one.
        assert_eq!(served, OTHER_SPELLINGS + 1);
        assert!(secrets.secret("a.example").is_some(), "the canonical spelling is always served");
    }

    #[test]
    fn names_outside_the_policy_make_room_for_each_other_only() {
        let (_folder, _policy, secrets) = secrets(Limits { listed: 2, unlisted: 1 });
        let mut withdrawn = secrets.withdrawals();
        for name in ["a.example", "b.example", "x.example", "y.example"] {
            secrets.secret(name).unwrap();
        }
        assert_eq!(withdrawn.try_recv().unwrap(), "x.example");
        assert!(withdrawn.try_recv().is_err());
    }

    #[test]
    fn a_policy_that_drops_names_takes_their_leaves_back() {
        let (_folder, policies, secrets) = secrets(Limits { listed: 2, unlisted: 1 });
        let mut withdrawn = secrets.withdrawals();
        secrets.secret("a.example").unwrap();
        secrets.secret("b.example").unwrap();
        policies.send_replace(policy("allowed_domains: []"));
        secrets.policy_changed();
        assert_eq!(withdrawn.try_recv().unwrap(), "a.example");
        assert!(withdrawn.try_recv().is_err());
    }
}
