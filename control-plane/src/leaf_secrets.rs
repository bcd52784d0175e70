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
        if let Some(withdrawn) = issued.withdrawn {
            // Nobody listening means that nobody holds it.
            let _ = self.withdrawals.send(withdrawn.as_str().to_owned());
        }
        Some(Arc::new(secret::resource(name, &issued.leaf)))
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
