//! One node's session: requests and changes in, responses out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::{
    Acknowledgement, InconsistentSnapshot, ResourceType, Secrets, Snapshot, Source, StreamState, StreamStatus,
};

/// The resources of one node beside its secrets. They may depend on the resources that the node has accepted.
pub trait ServedNode {
    /// Returns the resources to serve now.
    ///
    /// # Errors
    /// When the resources are inconsistent. The node keeps its current ones.
    fn snapshot(&self) -> Result<Arc<Snapshot>, InconsistentSnapshot>;

    /// Takes over the clusters that a reconnecting node holds.
    fn adopt_clusters(&mut self, names: &[&str], now: Instant);

    /// Records that the node has accepted every resource of this type, and that no more are due. Returns whether
    /// [`Self::snapshot`] changes.
    fn accepted(&mut self, kind: ResourceType, now: Instant) -> bool;

    /// Records that the node rejected a response of this type. Returns whether [`Self::snapshot`] changes.
    fn rejected(&mut self, kind: ResourceType) -> bool;

    /// Returns whether the node requests secrets when it needs them. Otherwise the snapshot's listeners name them in
    /// advance.
    fn asks_for_secrets(&self) -> bool;
}

/// An event in a session.
#[derive(Debug)]
pub enum Event<R> {
    /// The node sent a request.
    Request(R),
    /// [`ServedNode::snapshot`] may have changed.
    SnapshotChanged,
    /// Every node must drop the secret of this name.
    SecretWithdrawn(Arc<str>),
    /// Secrets that the node holds may be due for renewal.
    RenewalDue,
    /// More secrets may be renewed now.
    RenewalStep,
}

/// The consequences of an event.
#[derive(Debug)]
pub struct Output<R> {
    /// The responses to send, in push order.
    pub responses: Vec<R>,
    /// The rejection that the node reported.
    pub rejection: Option<Acknowledgement>,
}

impl<R> Default for Output<R> {
    fn default() -> Self {
        Self { responses: Vec::new(), rejection: None }
    }
}

/// One stream of one node.
#[derive(Debug)]
pub struct Session<S, N> {
    stream: S,
    node: N,
    source: Source,
    status: StreamStatus,
    /// Whether the source has the node's newest resources: they were consistent.
    is_newest: bool,
}

impl<S: StreamState, N: ServedNode> Session<S, N> {
    /// Creates a session of a node that has sent no request yet.
    ///
    /// # Errors
    /// When the node's resources are inconsistent.
    pub fn new(node: N, secrets: Arc<dyn Secrets>) -> Result<Self, InconsistentSnapshot> {
        let source = Source::new(node.snapshot()?, secrets);
        Ok(Self { stream: S::default(), node, source, status: StreamStatus::default(), is_newest: true })
    }

    /// Handles an event and returns its consequences.
    pub fn handle(&mut self, event: Event<S::Request>, now: Instant) -> Output<S::Response> {
        let mut output = Output::default();
        match event {
            Event::Request(request) => self.on_request(request, now, &mut output),
            Event::SnapshotChanged => self.refresh(&mut output),
            Event::SecretWithdrawn(name) if self.node.asks_for_secrets() => {
                let response = self.stream.withdraw(&name);
                self.send(response, &mut output);
            }
            Event::SecretWithdrawn(_) => {}
            Event::RenewalDue if self.node.asks_for_secrets() => self.stream.begin_renewals(),
            Event::RenewalDue => {
                // Configured secrets are in use, and no handshake would request them again.
                let response = self.stream.changes(ResourceType::Secret, &self.source);
                self.send(response, &mut output);
            }
            Event::RenewalStep => {
                let response = self.stream.renewals(&self.source);
                self.send(response, &mut output);
            }
        }
        output
    }

    /// The node's resources, for changes. The caller must send [`Event::SnapshotChanged`] after a change.
    pub fn node_mut(&mut self) -> &mut N {
        &mut self.node
    }

    /// The node's resources.
    pub fn node(&self) -> &N {
        &self.node
    }

    /// The resources that the node was sent, has accepted and has rejected.
    pub fn status(&self) -> &StreamStatus {
        &self.status
    }

    /// Returns whether the node has accepted all of its newest resources beside secrets.
    pub fn is_in_force(&self) -> bool {
        self.is_newest && ResourceType::OF_SNAPSHOT.into_iter().all(|kind| self.status.is_settled(kind))
    }

    /// Returns whether [`Event::RenewalStep`] has something to do.
    pub fn is_renewing(&self) -> bool {
        self.stream.is_renewing()
    }

    fn on_request(&mut self, request: S::Request, now: Instant, output: &mut Output<S::Response>) {
        let held = S::clusters_held(&request);
        if !held.is_empty() {
            self.node.adopt_clusters(&held, now);
            self.rebuild();
        }
        let kind = S::kind(&request);
        let outcome = self.stream.on_request(request, &self.source);
        let mut answered = Vec::new();
        if let Some(acknowledgement) = outcome.acknowledgement {
            output.rejection = acknowledgement.rejection.is_some().then(|| acknowledgement.clone());
            answered = self.status.acknowledged(acknowledgement);
        }
        self.send(outcome.response, output);
        if let Some(kind) = kind {
            self.status.subscribed(kind);
        }
        if let Some(kind) = output.rejection.as_ref().map(|rejection| rejection.kind) {
            if self.node.rejected(kind) {
                self.refresh(output);
            }
            self.send_apart(kind, &answered, output);
        }
        // All current resources were sent by now. So the node has accepted the current form of a type that is
        // settled.
        for kind in ResourceType::OF_SNAPSHOT {
            if self.status.is_settled(kind) && self.node.accepted(kind, now) {
                self.refresh(output);
            }
        }
    }

    /// Sends the resources of a rejected response again, each in a response of its own. A faulty resource then keeps no
    /// other from the node. A resource that was rejected alone is not sent again until it changes.
    fn send_apart(&mut self, kind: ResourceType, rejected: &[String], output: &mut Output<S::Response>) {
        if rejected.len() < 2 {
            return;
        }
        let of_kind = output.responses.iter().filter(|response| S::header(response).0 == Some(kind));
        let sent: BTreeSet<String> = of_kind.flat_map(S::resources).collect();
        for name in rejected.iter().filter(|name| !sent.contains(*name)) {
            let response = self.stream.resend(kind, name, &self.source);
            self.send(response, output);
        }
    }

    /// Sends the node's changed resources, in push order.
    fn refresh(&mut self, output: &mut Output<S::Response>) {
        self.rebuild();
        for kind in ResourceType::OF_SNAPSHOT {
            let response = self.stream.changes(kind, &self.source);
            self.send(response, output);
        }
    }

    /// Rebuilds the snapshot. If the new one is inconsistent, the node keeps the last consistent one.
    fn rebuild(&mut self) {
        let snapshot = self.node.snapshot();
        self.is_newest = snapshot.is_ok();
        if let Ok(snapshot) = snapshot {
            self.source.replace_snapshot(snapshot);
        }
    }

    fn send(&mut self, response: Option<S::Response>, output: &mut Output<S::Response>) {
        let Some(response) = response else { return };
        if let (Some(kind), nonce) = S::header(&response) {
            self.status.sent(kind, nonce, S::resources(&response));
        }
        output.responses.push(response);
    }
}

#[cfg(test)]
mod tests;
