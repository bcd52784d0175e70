//! How far one stream is: what was sent, what the node accepted, what it rejected and why.

use std::collections::BTreeMap;

use crate::ResourceType;

/// What a request said about an earlier response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The type that was sent.
    pub kind: ResourceType,
    /// The nonce of the response.
    pub nonce: String,
    /// Why the node rejected it; `None` for an ACK.
    pub rejection: Option<String>,
}

/// The state of each type of resource on one stream.
#[derive(Debug, Clone, Default)]
pub struct StreamStatus {
    types: BTreeMap<ResourceType, TypeStatus>,
}

#[derive(Debug, Clone, Default)]
struct TypeStatus {
    /// The responses that the node has not answered yet, by nonce, and the resources in each.
    outstanding: BTreeMap<String, Vec<String>>,
    /// The resources whose last version the node rejected, and its words. Only the same resource clears it: another
    /// one of its type may well be accepted.
    rejected: BTreeMap<String, String>,
}

impl TypeStatus {
    fn is_settled(&self) -> bool {
        self.outstanding.is_empty() && self.rejected.is_empty()
    }
}

impl StreamStatus {
    /// The node has asked for resources of this type, and whatever answers that went out.
    pub fn subscribed(&mut self, kind: ResourceType) {
        self.types.entry(kind).or_default();
    }

    /// A response with these resources went out.
    pub fn sent(&mut self, kind: ResourceType, nonce: &str, resources: Vec<String>) {
        self.types.entry(kind).or_default().outstanding.insert(nonce.to_owned(), resources);
    }

    /// A response was accepted or rejected.
    pub fn acknowledged(&mut self, acknowledgement: Acknowledgement) {
        let Acknowledgement { kind, nonce, rejection } = acknowledgement;
        let status = self.types.entry(kind).or_default();
        for resource in status.outstanding.remove(&nonce).unwrap_or_default() {
            match &rejection {
                Some(rejection) => status.rejected.insert(resource, rejection.clone()),
                None => status.rejected.remove(&resource),
            };
        }
    }

    /// Every type of a snapshot was asked for, and the newest of everything sent was accepted.
    pub fn is_ready(&self) -> bool {
        let asked_for = |kind| self.types.contains_key(kind);
        ResourceType::OF_SNAPSHOT.iter().all(asked_for) && self.types.values().all(TypeStatus::is_settled)
    }

    /// The type was asked for, and the newest of everything that was sent of it was accepted.
    pub fn is_settled(&self, kind: ResourceType) -> bool {
        self.types.get(&kind).is_some_and(TypeStatus::is_settled)
    }

    /// What the node rejects at the moment, with its own words.
    pub fn rejections(&self) -> impl Iterator<Item = (ResourceType, &str)> {
        self.types.iter().flat_map(|(kind, status)| {
            status.rejected.values().map(move |rejection| (*kind, rejection.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledge(kind: ResourceType, nonce: &str, rejection: Option<&str>) -> Acknowledgement {
        Acknowledgement { kind, nonce: nonce.to_owned(), rejection: rejection.map(str::to_owned) }
    }

    fn sent(status: &mut StreamStatus, kind: ResourceType, nonce: &str, resource: &str) {
        status.sent(kind, nonce, vec![resource.to_owned()]);
    }

    #[test]
    fn a_node_is_ready_when_the_newest_of_everything_was_accepted() {
        let mut status = StreamStatus::default();
        for kind in ResourceType::OF_SNAPSHOT {
            assert!(!status.is_ready());
            sent(&mut status, kind, "1", "a");
            status.acknowledged(acknowledge(kind, "1", None));
        }
        assert!(status.is_ready());
        sent(&mut status, ResourceType::Listener, "2", "a");
        assert!(!status.is_ready());
        status.acknowledged(acknowledge(ResourceType::Listener, "2", Some("bad")));
        assert!(!status.is_ready());
        assert_eq!(status.rejections().collect::<Vec<_>>(), [(ResourceType::Listener, "bad")]);
        sent(&mut status, ResourceType::Listener, "3", "a");
        status.acknowledged(acknowledge(ResourceType::Listener, "3", None));
        assert!(status.is_ready());
    }

    #[test]
    fn a_rejection_is_not_lost_when_another_resource_of_its_type_is_accepted() {
        let mut status = StreamStatus::default();
        sent(&mut status, ResourceType::ExtensionConfig, "1", "filter");
        sent(&mut status, ResourceType::ExtensionConfig, "2", "guard");
        status.acknowledged(acknowledge(ResourceType::ExtensionConfig, "1", Some("no wasm")));
        status.acknowledged(acknowledge(ResourceType::ExtensionConfig, "2", None));
        assert_eq!(status.rejections().collect::<Vec<_>>(), [(ResourceType::ExtensionConfig, "no wasm")]);
    }
}
