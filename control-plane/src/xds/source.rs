//! What a stream can be served at this moment.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::capabilities::Capabilities;
use crate::resources::{self, Gateway};
use crate::snapshot::{InconsistentSnapshot, Resource, Snapshot};
use crate::xds::ResourceType;

/// Makes the secret of a name, or refuses to.
pub trait Secrets: Send + Sync {
    /// The secret resource of a leaf; the same until it is renewed. `None` refuses the name.
    fn secret(&self, name: &str) -> Option<Arc<Resource>>;

    /// The secret of a name that a node holds, renewed if it is time. `None` when it is to be withdrawn: the name has
    /// lost its place to others. Not an ask: it says nothing of whether the name is in use.
    fn renewed(&self, name: &str) -> Option<Arc<Resource>>;

    /// Hears of the names that must be withdrawn from every node to make room for others.
    fn withdrawals(&self) -> broadcast::Receiver<String>;
}

type Build = dyn Fn(Capabilities) -> Result<Snapshot, InconsistentSnapshot> + Send + Sync;

/// The snapshots of one policy, each built once, when the first node of its kind connects.
pub struct Catalogue {
    build: Box<Build>,
    built: Mutex<HashMap<Capabilities, Arc<Snapshot>>>,
}

impl Catalogue {
    /// Serves a gateway.
    pub fn of(gateway: Gateway) -> Self {
        Self::built_by(move |capabilities| resources::build(&gateway, capabilities))
    }

    /// Serves whatever `build` makes.
    pub fn built_by(
        build: impl Fn(Capabilities) -> Result<Snapshot, InconsistentSnapshot> + Send + Sync + 'static,
    ) -> Self {
        Self { build: Box::new(build), built: Mutex::default() }
    }

    /// The snapshot for nodes with these capabilities.
    ///
    /// # Errors
    /// The resources do not fit together; nothing of them is served then.
    pub fn snapshot(&self, capabilities: Capabilities) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        // A panic while building leaves the map as it was.
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = built.get(&capabilities) {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new((self.build)(capabilities)?);
        built.insert(capabilities, Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Catalogue").finish_non_exhaustive()
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
            ResourceType::Secret => self.secrets.secret(name),
            ResourceType::Cluster
            | ResourceType::Listener
            | ResourceType::Route
            | ResourceType::ExtensionConfig => self.snapshot.get(kind, name).cloned(),
        }
    }

    /// A secret that a node holds, as it is to be held now; `None` when it is to be withdrawn.
    pub fn renewed(&self, secret: &str) -> Option<Arc<Resource>> {
        self.secrets.renewed(secret)
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
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    use super::*;
    use crate::snapshot::References;

    struct AllButRefused;

    impl Secrets for AllButRefused {
        fn secret(&self, name: &str) -> Option<Arc<Resource>> {
            (!name.starts_with("refused")).then(|| Arc::new(cluster(name)))
        }

        fn renewed(&self, name: &str) -> Option<Arc<Resource>> {
            self.secret(name).filter(|_| !name.starts_with("withdrawn"))
        }

        fn withdrawals(&self) -> broadcast::Receiver<String> {
            broadcast::channel(1).1
        }
    }

    pub(in crate::xds) fn cluster(name: &str) -> Resource {
        Resource::new(name, &Cluster { name: name.to_owned(), ..Cluster::default() })
    }

    /// Clusters of these names; a secret for every name that does not begin with `refused`.
    pub(in crate::xds) fn source(names: &[&str]) -> Source {
        let clusters = names.iter().map(|name| (ResourceType::Cluster, cluster(name), References::new()));
        let snapshot = Snapshot::new(clusters).unwrap();
        Source::new(Arc::new(snapshot), Arc::new(AllButRefused))
    }
}
