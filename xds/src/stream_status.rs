//! The progress of one stream: the resources sent, accepted, and rejected with their reason.

use std::collections::BTreeMap;

use crate::ResourceType;

/// A request's ACK or NACK of an earlier response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The resource type of the response.
    pub kind: ResourceType,
    /// The nonce of the response.
    pub nonce: String,
    /// The node's reason for a rejection; `None` for an ACK.
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
    /// The resources whose last version the node rejected, with the node's message. Only an acceptance of the same
    /// resource clears an entry, because the node may well accept others of its type.
    rejected: BTreeMap<String, String>,
}

impl TypeStatus {
    fn is_settled(&self) -> bool {
        self.outstanding.is_empty() && self.rejected.is_empty()
    }
}

impl StreamStatus {
    /// Records that the node has subscribed to this type, and that the responses to it were sent.
    pub fn subscribed(&mut self, kind: ResourceType) {
        self.types.entry(kind).or_default();
    }

    /// Records that a response with these resources was sent.
    pub fn sent(&mut self, kind: ResourceType, nonce: &str, resources: Vec<String>) {
        self.types.entry(kind).or_default().outstanding.insert(nonce.to_owned(), resources);
    }

    /// Records that the node accepted or rejected a response, and returns the resources in the response.
    pub fn acknowledged(&mut self, acknowledgement: Acknowledgement) -> Vec<String> {
        let Acknowledgement { kind, nonce, rejection } = acknowledgement;
        let status = self.types.entry(kind).or_default();
        let resources = status.outstanding.remove(&nonce).unwrap_or_default();
        for resource in &resources {
            match &rejection {
                Some(rejection) => status.rejected.insert(resource.clone(), rejection.clone()),
                None => status.rejected.remove(resource),
            };
        }
        resources
    }

    /// Returns whether the node has subscribed to every type of a snapshot and accepted the newest version of all
    /// resources.
    pub fn is_ready(&self) -> bool {
        let asked_for = |kind| self.types.contains_key(kind);
        ResourceType::OF_SNAPSHOT.iter().all(asked_for) && self.types.values().all(TypeStatus::is_settled)
    }

    /// Returns whether the node has subscribed to the type and accepted the newest version of all its resources.
    pub fn is_settled(&self, kind: ResourceType) -> bool {
        self.types.get(&kind).is_some_and(TypeStatus::is_settled)
    }

    /// The resource types that the node currently rejects, with the node's message.
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
