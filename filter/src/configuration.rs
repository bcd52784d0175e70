//! The plugin configuration, which the control plane sends with each policy as one run of bytes.

use crate::proxy_credentials::ProxyCredentials;
use crate::rego::{InvalidRego, Rego};
use thiserror::Error;
use weir_contract::configuration::{InvalidParts, Parts};
use weir_contract::envelope;
use weir_policy::{InvalidPolicyBytes, Policy};

/// The configuration that the filter enforces. It never changes, and all workers may share it.
///
/// [`weir_contract::configuration`] has the layout of its bytes.
#[derive(Debug)]
pub struct Configuration {
    /// The policy.
    pub policy: Policy,
    /// Whether the filter also judges the host of a CONNECT. This is set for an Envoy that has certificates only for
    /// the policy's hosts, and so could not answer a denied request inside the tunnel.
    pub judge_connect_host: bool,
    /// The maximum number of pools of upstream connections that a worker has for single connections of clients.
    pub separate_pools: u16,
    /// The credentials that the explicit proxy requires; `None` if it requires none.
    pub proxy_credentials: Option<ProxyCredentials>,
    /// The version of the policy and the Rego policy together, as every record has it.
    pub version: String,
    /// The Rego policy, which must allow a request too; present if and only if the policy needs one.
    pub rego: Option<Rego>,
}

/// An error for bytes that are not a configuration.
#[derive(Debug, Error)]
pub enum InvalidConfiguration {
    /// The bytes have no envelope.
    #[error("plugin configuration is not in its envelope")]
    Envelope,
    /// The bytes have another layout.
    #[error(transparent)]
    Layout(#[from] InvalidParts),
    /// The credentials are not a salt and digests.
    #[error("plugin configuration has no valid credentials")]
    Credentials,
    /// The policy is not valid.
    #[error("plugin configuration: {0}")]
    Policy(#[from] InvalidPolicyBytes),
    /// The Rego policy is not valid, or this filter has no engine for it.
    #[error("plugin configuration: {0}")]
    Rego(#[from] InvalidRego),
    /// The policy needs a Rego policy and there is none, or the other way round.
    #[error("plugin configuration: the policy and the Rego policy do not belong together")]
    Mismatch,
}

impl TryFrom<Vec<u8>> for Configuration {
    type Error = InvalidConfiguration;

    /// Reuses the bytes: a Wasm VM would never give back the memory of a second copy of a large policy.
    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidConfiguration> {
        let mut bytes = envelope::open(bytes).ok_or(InvalidConfiguration::Envelope)?;
        let Parts { judge_connect_host, separate_pools, credentials, policy, rego } = Parts::find(&bytes)?;
        // A proxy with unreadable credentials must not become a proxy that requires none.
        let proxy_credentials = match credentials {
            None => None,
            Some(range) => {
                let read = bytes.get(range).and_then(ProxyCredentials::read);
                Some(read.ok_or(InvalidConfiguration::Credentials)?)
            }
        };
        let with_rego = rego.is_some();
        let rego_bytes = bytes.split_off(policy.end);
        let rego = with_rego.then(|| Rego::load(&rego_bytes)).transpose()?;
        bytes.drain(..policy.start);
        let policy = Policy::from_bytes(bytes)?;
        let version = if with_rego { policy.version().with(&rego_bytes) } else { policy.version() };
        if policy.needs_rego() != rego.is_some() {
            return Err(InvalidConfiguration::Mismatch);
        }
        let version = version.to_string();
        Ok(Self { policy, judge_connect_host, separate_pools, proxy_credentials, version, rego })
    }
}

#[cfg(test)]
pub(crate) mod tests;
