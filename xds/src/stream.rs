//! The interface that both protocols share: a request or a change in, the response out.

use envoy_types::pb::envoy::config::core::v3::Node;

use crate::{Acknowledgement, ResourceType, Source};

/// The state of one stream. No sockets and no clock.
pub trait StreamState: Default + Send + Sync + 'static {
    /// What the node sends.
    type Request: Send + 'static;
    /// What it is sent.
    type Response: Send + Sync + 'static;

    /// Who asks. Envoy says it in the first request of a stream only.
    fn node(request: &Self::Request) -> Option<&Node>;

    /// The type that a request is about; `None` for one that Weir does not serve.
    fn kind(request: &Self::Request) -> Option<ResourceType>;

    /// The type and the nonce of a response.
    fn header(response: &Self::Response) -> (Option<ResourceType>, &str);

    /// The resources that a node accepts or rejects together when it answers a response.
    fn resources(response: &Self::Response) -> Vec<String>;

    /// The clusters that the node holds already, as it says in its first request for clusters.
    fn clusters_held(request: &Self::Request) -> Vec<&str>;

    /// Takes in a request. One of a type that Weir does not serve leads to nothing.
    fn on_request(&mut self, request: Self::Request, source: &Source) -> Outcome<Self::Response>;

    /// What has changed of a type since it was last sent.
    fn changes(&mut self, kind: ResourceType, source: &Source) -> Option<Self::Response>;

    /// Begins to look through the secrets that the node holds for those that are to be renewed or withdrawn.
    fn begin_renewals(&mut self);

    /// Goes on with it as far as the rate of renewals allows, the names in use first: what has changed so far.
    fn renewals(&mut self, source: &Source) -> Option<Self::Response>;

    /// Whether [`Self::renewals`] has not come to the end.
    fn is_renewing(&self) -> bool;

    /// Takes a secret back from the node, if it holds it.
    fn withdraw(&mut self, name: &str) -> Option<Self::Response>;
}

/// What a request leads to.
#[derive(Debug)]
pub struct Outcome<R> {
    /// To be sent.
    pub response: Option<R>,
    /// What the request said about an earlier response.
    pub acknowledgement: Option<Acknowledgement>,
}

impl<R> Outcome<R> {
    /// A request that is not answered and says nothing.
    pub fn nothing() -> Self {
        Self { response: None, acknowledgement: None }
    }
}
