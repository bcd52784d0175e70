//! The record as the control plane reads it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use weir_policy::{Effect, Reason};

use super::Word;

/// A decision record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DecisionRecord {
    /// The effect: `allow` or `deny`.
    #[serde(deserialize_with = "tolerant")]
    pub effect: Word<Effect>,
    /// The reason code.
    #[serde(deserialize_with = "tolerant")]
    pub reason: Word<Reason>,
    /// The id of the deciding rule.
    #[serde(deserialize_with = "tolerant")]
    pub rule: Option<String>,
    /// The decision's unique id, which the client of a denied request gets too.
    #[serde(deserialize_with = "tolerant")]
    pub decision_id: String,
    /// The version of the policy that decided; empty if there was none.
    #[serde(deserialize_with = "tolerant")]
    pub policy_version: String,
    /// The canonical host, or the authority as the client sent it.
    #[serde(deserialize_with = "tolerant")]
    pub host: String,
    /// The port of the request; `None` if the authority could not be read.
    #[serde(deserialize_with = "tolerant")]
    pub port: Option<u16>,
    /// `http` or `https`.
    #[serde(deserialize_with = "tolerant")]
    pub scheme: String,
    /// The method.
    #[serde(deserialize_with = "tolerant")]
    pub method: String,
    /// The path without its query.
    #[serde(deserialize_with = "tolerant")]
    pub path: String,
    /// The host and port of the rule's own upstream, if the rule has one.
    #[serde(deserialize_with = "tolerant")]
    pub upstream: Option<String>,
    /// The server name that Envoy sends to the upstream.
    #[serde(deserialize_with = "tolerant")]
    pub sni: Option<String>,
    /// The Rego policy's reason for its denial.
    #[serde(deserialize_with = "tolerant")]
    pub rego_reason: Option<String>,
    /// Whether report mode forwarded a request that the policy denies.
    #[serde(deserialize_with = "tolerant")]
    pub would_deny: bool,
}

/// Bytes that are no record.
#[derive(Debug, thiserror::Error)]
#[error("not a decision record: {0}")]
pub struct InvalidRecord(#[from] serde_json::Error);

impl DecisionRecord {
    /// Decodes a record, also one of an older or a newer filter.
    ///
    /// # Errors
    /// When the bytes are no JSON object.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        // A map, because serde would read a list as a struct.
        Ok(Self::deserialize(Value::Object(serde_json::from_slice(bytes)?))?)
    }
}

/// Reads a value, and takes one of another type as absent: a decision is never lost for one of its details.
fn tolerant<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}
