//! All resources that a subscription may name at one moment.

use std::fmt;
use std::sync::Arc;

use crate::{RenewedSecret, Resource, ResourceType, Secrets, Snapshot};

/// A snapshot and the secrets beside it: all resources that a subscription may name.
#[derive(Clone)]
pub struct Source {
    snapshot: Arc<Snapshot>,
    secrets: Arc<dyn Secrets>,
}

impl Source {
    /// Combines a snapshot with the secrets.
    pub fn new(snapshot: Arc<Snapshot>, secrets: Arc<dyn Secrets>) -> Self {
        Self { snapshot, secrets }
    }

    /// Replaces the snapshot.
    pub(crate) fn replace_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
    }

    /// Returns the resource of a name.
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

    /// Returns the current state of a secret that a node holds.
    pub fn renewed(&self, secret: &str) -> RenewedSecret {
        let of_snapshot = self.snapshot.get(ResourceType::Secret, secret).cloned();
        of_snapshot.map_or_else(|| self.secrets.renewed(secret), RenewedSecret::Current)
    }

    /// The secrets themselves, for calls that [`Self::get`] does not cover.
    pub fn secrets(&self) -> &dyn Secrets {
        &*self.secrets
    }

    /// All resources of a type.
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
pub(crate) mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    use super::*;
    use crate::References;

    struct AllButRefused {
        rate: AtomicUsize,
    }

    impl Secrets for AllButRefused {
        fn secret(&self, name: &str) -> Option<Arc<Resource>> {
            (!name.starts_with("refused")).then(|| Arc::new(cluster(name)))
        }

        fn readmit(&self, _name: &str) {}

        /// Answers `Gone` for names that begin with `withdrawn`. Renews one more of the other names each time that
        /// the rate allows it.
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

        /// Orders names in reverse alphabetical order.
        fn last_use(&self, name: &str) -> u64 {
            u64::from(name.as_bytes()[0])
        }
    }

    pub(crate) fn cluster(name: &str) -> Resource {
        Resource::new(name, &Cluster { name: name.to_owned(), ..Cluster::default() })
    }

    /// A source with clusters of these names, and a secret for every name that does not begin with `refused`.
    pub(crate) fn source(names: &[&str]) -> Source {
        source_renewing(names, usize::MAX)
    }

    /// A source with clusters of these names, and secrets of which only `renewals` may be renewed.
    pub(crate) fn source_renewing(names: &[&str], renewals: usize) -> Source {
        let clusters = names.iter().map(|name| (ResourceType::Cluster, cluster(name), References::new()));
        let snapshot = Snapshot::new(clusters).unwrap();
        Source::new(Arc::new(snapshot), Arc::new(AllButRefused { rate: AtomicUsize::new(renewals) }))
    }
}
