//! A consistent set of resources for one kind of node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Resource, ResourceType};

/// A consistent set of resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    resources: BTreeMap<ResourceType, BTreeMap<String, Arc<Resource>>>,
}

/// An error for a resource that refers to another one outside the set. Serving the set would break traffic.
#[derive(Debug, thiserror::Error)]
#[error("`{referrer}` refers to {} `{name}`, which is not in the snapshot", kind.as_str())]
pub struct InconsistentSnapshot {
    referrer: String,
    kind: ResourceType,
    name: String,
}

/// The names that a listener or a route table refers to. The code that builds the resource lists them, and the
/// snapshot checks them before it is served.
pub type References = BTreeSet<(ResourceType, String)>;

impl Snapshot {
    /// Creates a snapshot and checks that every reference resolves. Certificates are not part of it: they are minted
    /// on request.
    ///
    /// # Errors
    /// When a reference names a missing resource. The error reports the first one.
    pub fn new(
        resources: impl IntoIterator<Item = (ResourceType, Resource, References)>,
    ) -> Result<Self, InconsistentSnapshot> {
        let resources = resources.into_iter();
        let resources = resources.map(|(kind, resource, wanted)| (kind, Arc::new(resource), wanted));
        Self { resources: BTreeMap::new() }.with(resources)
    }

    /// Returns a copy with more resources. They replace resources of equal names.
    ///
    /// # Errors
    /// When a new resource refers to a missing one. The error reports the first one.
    pub fn with(
        &self,
        resources: impl IntoIterator<Item = (ResourceType, Arc<Resource>, References)>,
    ) -> Result<Self, InconsistentSnapshot> {
        let mut snapshot = self.clone();
        let mut references = Vec::new();
        for (kind, resource, wanted) in resources {
            references.push((resource.name.clone(), wanted));
            snapshot.resources.entry(kind).or_default().insert(resource.name.clone(), resource);
        }
        for (referrer, wanted) in references {
            if let Some((kind, name)) = wanted.iter().find(|(kind, name)| snapshot.get(*kind, name).is_none())
            {
                return Err(InconsistentSnapshot { referrer, kind: *kind, name: name.clone() });
            }
        }
        Ok(snapshot)
    }

    /// Returns one resource.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&kind)?.get(name)
    }

    /// All resources of a type, sorted by name.
    pub fn all(&self, kind: ResourceType) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.get(&kind).into_iter().flat_map(BTreeMap::values)
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    use super::*;

    fn cluster(name: &str, references: References) -> (ResourceType, Resource, References) {
        let cluster = Cluster { name: name.to_owned(), ..Cluster::default() };
        (ResourceType::Cluster, Resource::new(name, &cluster), references)
    }

    #[test]
    fn a_reference_to_a_missing_cluster_is_refused() {
        let wanted = [(ResourceType::Cluster, "b".to_owned())].into();
        let error = Snapshot::new([cluster("a", wanted)]).unwrap_err();
        assert_eq!(error.to_string(), "`a` refers to cluster `b`, which is not in the snapshot");
    }

    #[test]
    fn equal_content_has_an_equal_version() {
        let version = |name| cluster(name, References::new()).1.version;
        assert_eq!(version("a"), version("a"));
        assert_ne!(version("a"), version("b"));
    }
}
