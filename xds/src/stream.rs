//! The interface that both protocols share: a request or a change in, the response out.

use envoy_types::pb::envoy::config::core::v3::Node;

use crate::{Acknowledgement, ResourceType, Source};

/// The state of one stream, without sockets and without a clock.
pub trait StreamState: Default + Send + Sync + 'static {
    /// The node's request.
    type Request: Send + 'static;
    /// The control plane's response.
    type Response: Send + Sync + 'static;

    /// The node that sends the request. Envoy describes itself only in the first request of a stream.
    fn node(request: &Self::Request) -> Option<&Node>;

    /// The resource type of a request; `None` for a type that Weir does not serve.
    fn kind(request: &Self::Request) -> Option<ResourceType>;

    /// The type and the nonce of a response.
    fn header(response: &Self::Response) -> (Option<ResourceType>, &str);

    /// The resources that a node accepts or rejects together when it answers a response.
    fn resources(response: &Self::Response) -> Vec<String>;

    /// The clusters that the node already holds, from its first request for clusters.
    fn clusters_held(request: &Self::Request) -> Vec<&str>;

    /// Handles a request. A request for a type that Weir does not serve has no effect.
    fn on_request(&mut self, request: Self::Request, source: &Source) -> RequestOutcome<Self::Response>;

    /// Returns the resources of a type that have changed since they were last sent.
    fn changes(&mut self, kind: ResourceType, source: &Source) -> Option<Self::Response>;

    /// Returns a response with the current state of this resource alone, whatever the node holds. `None` if the node has
    /// not subscribed to the name, or if each response has all resources of its type.
    fn resend(&mut self, kind: ResourceType, name: &str, source: &Source) -> Option<Self::Response>;

    /// Begins to check all secrets that the node holds for renewal or withdrawal.
    fn begin_renewals(&mut self);

    /// Continues the check as far as the rate of renewals allows, most recently used names first. Returns the secrets
    /// that have changed.
    fn renewals(&mut self, source: &Source) -> Option<Self::Response>;

    /// Returns whether [`Self::renewals`] has more to check.
    fn is_renewing(&self) -> bool;

    /// Withdraws a secret from the node, if it holds the secret.
    fn withdraw(&mut self, name: &str) -> Option<Self::Response>;
}

/// The outcome of a request.
#[derive(Debug)]
pub struct RequestOutcome<R> {
    /// The response to send.
    pub response: Option<R>,
    /// The request's ACK or NACK of an earlier response.
    pub acknowledgement: Option<Acknowledgement>,
}

impl<R> RequestOutcome<R> {
    /// The outcome of a request that gets no response and acknowledges nothing.
    pub fn nothing() -> Self {
        Self { response: None, acknowledgement: None }
    }
}
