//! One resource, encoded once for every node.

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use xxhash_rust::xxh3::xxh3_64;

/// One xDS resource, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The name that nodes subscribe to.
    pub name: String,
    /// Hash of the encoded content, 16 hexadecimal digits: equal content, equal version.
    pub version: String,
    /// The encoded message.
    pub body: Any,
}

impl Resource {
    /// Encodes a message. `name` must be the name inside the message, where it has one.
    pub fn new<M: Message + Name>(name: impl Into<String>, message: &M) -> Self {
        let value = message.encode_to_vec();
        let version = format!("{:016x}", xxh3_64(&value));
        Self { name: name.into(), version, body: Any { type_url: M::type_url(), value } }
    }
}
