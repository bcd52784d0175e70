//! A consistent set of resources, which one kind of node is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Resource, ResourceType};

/// A consistent set of resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    resources: BTreeMap<ResourceType, BTreeMap<String, Arc<Resource>>>,
}

/// A set of resources that refers to something which is not in it: serving it would break traffic.
#[derive(Debug, thiserror::Error)]
#[error("`{referrer}` refers to {} `{name}`, which is not in the snapshot", kind.as_str())]
pub struct InconsistentSnapshot {
    referrer: String,
    kind: ResourceType,
    name: String,
}

/// What a listener or a route table refers to by name; told by the code that builds it, checked before it is served.
pub type References = BTreeSet<(ResourceType, String)>;

impl Snapshot {
    /// Checks that every reference resolves. Certificates are not here: they are minted when asked for.
    ///
    /// # Errors
    /// The first reference to something that is missing.
    pub fn new(
        resources: impl IntoIterator<Item = (ResourceType, Resource, References)>,
    ) -> Result<Self, InconsistentSnapshot> {
        let resources = resources.into_iter();
        let resources = resources.map(|(kind, resource, wanted)| (kind, Arc::new(resource), wanted));
        Self { resources: BTreeMap::new() }.with(resources)
    }

    /// This one with more resources, or others of the same names.
    ///
    /// # Errors
    /// The first of their references to something that is missing.
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

    /// One resource.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&kind)?.get(name)
    }

    /// All resources of a type, in the order of their names.
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
