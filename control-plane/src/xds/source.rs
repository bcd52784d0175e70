//! What a stream can be served at this moment.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use weir_policy::Host;

use super::host_contexts::HostContexts;
use crate::capabilities::Capabilities;
use crate::resources::{self, Gateway};
use crate::snapshot::{InconsistentSnapshot, Resource, Snapshot};
use crate::xds::ResourceType;

/// Makes the secret of a name, or refuses to.
pub trait Secrets: Send + Sync {
    /// The secret resource of a leaf; the same until it is renewed. `None` refuses the name.
    fn secret(&self, name: &str) -> Option<Arc<Resource>>;

    /// A node that has just connected says that it holds a secret of this name. Not an ask: [`Self::renewed`] tells
    /// what becomes of it.
    fn readmit(&self, name: &str);

    /// The secret of a name that a node holds, renewed if it is time. Not an ask: it says nothing of whether the name is
    /// in use.
    fn renewed(&self, name: &str) -> RenewedSecret;

    /// Orders names by their last use: higher is later, and zero is never.
    fn last_use(&self, name: &str) -> u64;

    /// How often secrets that are to be renewed should be looked for unasked.
    fn renewal_interval(&self) -> Duration;

    /// Hears of what every node must do with what it holds.
    fn events(&self) -> broadcast::Receiver<SecretEvent>;
}

/// What is to become of secrets that nodes hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretEvent {
    /// This one must be withdrawn.
    Withdrawn(Arc<str>),
    /// All may have to be renewed.
    Renewal,
}

/// What has become of a secret that a node holds.
#[derive(Debug)]
pub enum RenewedSecret {
    /// It is to hold this one, which may be the same.
    Current(Arc<Resource>),
    /// There will be a new one, but others come before it: ask again soon.
    Later,
    /// It is to be withdrawn.
    Gone,
}

/// The most host clusters that are kept encoded for the next node.
const HOST_CLUSTERS: usize = 4096;

/// The snapshots of one policy, each built once, when the first node of its kind connects.
#[derive(Debug)]
pub struct Catalogue {
    gateway: Gateway,
    built: Mutex<HashMap<Capabilities, Arc<Snapshot>>>,
    host_clusters: Mutex<HashMap<Host, Arc<Resource>>>,
}

impl Catalogue {
    /// Serves a gateway.
    pub fn of(gateway: Gateway) -> Self {
        Self { gateway, built: Mutex::default(), host_clusters: Mutex::default() }
    }

    /// What is served.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The snapshot for a node with these capabilities and these hosts.
    ///
    /// # Errors
    /// The resources do not fit together; nothing of them is served then.
    pub fn snapshot(
        &self,
        capabilities: Capabilities,
        hosts: &HostContexts,
    ) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        let snapshot = self.shared(capabilities)?;
        let hosts_with_clusters = hosts.clusters();
        if hosts_with_clusters.is_empty() {
            return Ok(snapshot);
        }
        let clusters = hosts_with_clusters.into_iter().map(|host| self.host_cluster(host));
        Ok(Arc::new(resources::with_hosts(&snapshot, clusters, hosts.routed())?))
    }

    fn host_cluster(&self, host: &Host) -> Arc<Resource> {
        let mut clusters = self.host_clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = clusters.get(host) {
            return Arc::clone(cluster);
        }
        if clusters.len() >= HOST_CLUSTERS {
            clusters.clear();
        }
        let cluster = Arc::new(resources::host_cluster(&self.gateway, host));
        clusters.insert(*host, Arc::clone(&cluster));
        cluster
    }

    fn shared(&self, capabilities: Capabilities) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        // A panic while building leaves the map as it was.
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = built.get(&capabilities) {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(resources::build(&self.gateway, capabilities)?);
        built.insert(capabilities, Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

/// A snapshot and the secrets beside it: everything that a subscription may name.
#[derive(Clone)]
pub struct Source {
    snapshot: Arc<Snapshot>,
    secrets: Arc<dyn Secrets>,
}

impl Source {
    /// A source of these.
    pub fn new(snapshot: Arc<Snapshot>, secrets: Arc<dyn Secrets>) -> Self {
        Self { snapshot, secrets }
    }

    /// The resource of a name.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<Arc<Resource>> {
        match kind {
            ResourceType::Secret => {
                let of_snapshot = self.snapshot.get(kind, name).cloned();
                of_snapshot.or_else(|| self.secrets.secret(name))
            }
            ResourceType::Cluster
            | ResourceType::Listener
            | ResourceType::Route
            | ResourceType::ExtensionConfig => self.snapshot.get(kind, name).cloned(),
        }
    }

    /// A secret that a node holds, as it is to be held now.
    pub fn renewed(&self, secret: &str) -> RenewedSecret {
        let of_snapshot = self.snapshot.get(ResourceType::Secret, secret).cloned();
        of_snapshot.map_or_else(|| self.secrets.renewed(secret), RenewedSecret::Current)
    }

    /// The secrets, beyond [`Self::get`].
    pub fn secrets(&self) -> &dyn Secrets {
        &*self.secrets
    }

    /// Every resource of a type that has a wildcard.
    pub fn all(&self, kind: ResourceType) -> impl Iterator<Item = &Arc<Resource>> {
        self.snapshot.all(kind)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    use super::*;
    use crate::snapshot::References;

    struct AllButRefused {
        rate: AtomicUsize,
    }

    impl Secrets for AllButRefused {
        fn secret(&self, name: &str) -> Option<Arc<Resource>> {
            (!name.starts_with("refused")).then(|| Arc::new(cluster(name)))
        }

        fn readmit(&self, _name: &str) {}

        /// `withdrawn…` is gone; one more of all others is renewed each time that the rate allows it.
        fn renewed(&self, name: &str) -> RenewedSecret {
            match self.secret(name) {
                Some(_) if name.starts_with("withdrawn") => RenewedSecret::Gone,
                Some(secret)
                    if self.rate.fetch_update(SeqCst, SeqCst, |rate| rate.checked_sub(1)).is_ok() =>
                {
                    RenewedSecret::Current(secret)
                }
                Some(_) => RenewedSecret::Later,
                None => RenewedSecret::Gone,
            }
        }

        /// The names in the reverse order of the alphabet.
        fn last_use(&self, name: &str) -> u64 {
            u64::from(name.as_bytes()[0])
        }

        fn renewal_interval(&self) -> Duration {
            Duration::from_mins(1)
        }

        fn events(&self) -> broadcast::Receiver<SecretEvent> {
            broadcast::channel(1).1
        }
    }

    pub(in crate::xds) fn cluster(name: &str) -> Resource {
        Resource::new(name, &Cluster { name: name.to_owned(), ..Cluster::default() })
    }

    /// Clusters of these names; a secret for every name that does not begin with `refused`.
    pub(in crate::xds) fn source(names: &[&str]) -> Source {
        source_renewing(names, usize::MAX)
    }

    /// The same, but that only so many secrets may be renewed.
    pub(in crate::xds) fn source_renewing(names: &[&str], renewals: usize) -> Source {
        let clusters = names.iter().map(|name| (ResourceType::Cluster, cluster(name), References::new()));
        let snapshot = Snapshot::new(clusters).unwrap();
        Source::new(Arc::new(snapshot), Arc::new(AllButRefused { rate: AtomicUsize::new(renewals) }))
    }
}
