//! Any requests, acknowledgements and changes in any order leave a delta session and its node in agreement.
//!
//! The bytes are a script. A model of the node applies each response as the protocol says. A response may name only
//! resources that the node subscribes to. When the node has acknowledged everything, it holds exactly what the session would serve,
//! and the session has nothing more to send.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc::Status;
use weir_xds::{
    DeltaStream, Event, InconsistentSnapshot, References, RenewedSecret, Resource, ResourceType, Secrets,
    ServedNode, Session, Snapshot, decode_delta_request,
};

/// The names in scripts. A secret whose name begins with `x` is refused.
const NAMES: [&str; 6] = ["a", "b", "c", "x", "xy", "*"];

/// Checks one script.
pub(crate) fn check(script: &[u8]) {
    let mut bytes = script.iter().copied();
    let mut run = Run::new();
    while let Some(operation) = bytes.next() {
        let mut next = || bytes.next().unwrap_or_default();
        match operation % 8 {
            0 | 1 => run.subscribe(kind(next()), &names(next()), &[]),
            2 => run.subscribe(kind(next()), &[], &names(next())),
            3 => run.acknowledge(operation >= 128),
            4 => {
                run.session.node_mut().served = Served { present: next(), content: next() };
                run.handle(Event::SnapshotChanged);
            }
            5 => run.handle(Event::SecretWithdrawn(NAMES[usize::from(next()) % NAMES.len()].into())),
            6 => run.renew(),
            _ => {
                let length = usize::from(next());
                let raw: Vec<u8> = bytes.by_ref().take(length).collect();
                run.raw(&raw);
            }
        }
    }
    run.settle();
}

fn kind(byte: u8) -> ResourceType {
    ResourceType::ALL[usize::from(byte) % ResourceType::ALL.len()]
}

/// Returns the names whose bits are set.
fn names(bits: u8) -> Vec<String> {
    let named = NAMES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    named.map(|(_, name)| (*name).to_owned()).collect()
}

/// Returns a node's resources: one for each name whose bit is set, all with equal content.
#[derive(Debug, Clone, Copy)]
struct Served {
    present: u8,
    content: u8,
}

impl Served {
    fn of(self, kind: ResourceType) -> BTreeMap<String, Resource> {
        let present = names(self.present).into_iter().filter(|name| name != "*");
        let resource = |name: &String| {
            let content =
                Cluster { alt_stat_name: format!("{}{}", kind.as_str(), self.content), ..Cluster::default() };
            Resource::new(name.clone(), &content)
        };
        present.map(|name| (name.clone(), resource(&name))).collect()
    }
}

#[derive(Debug)]
struct Node {
    served: Served,
}

impl ServedNode for Node {
    fn snapshot(&self) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        let of = |kind| {
            self.served.of(kind).into_values().map(move |resource| (kind, resource, References::new()))
        };
        Snapshot::new(ResourceType::OF_SNAPSHOT.into_iter().flat_map(of)).map(Arc::new)
    }

    fn adopt_clusters(&mut self, _names: &[&str], _now: Instant) {}

    fn accepted(&mut self, _kind: ResourceType, _now: Instant) -> bool {
        false
    }

    fn rejected(&mut self, _kind: ResourceType) -> bool {
        false
    }

    fn asks_for_secrets(&self) -> bool {
        true
    }
}

struct AllButX;

impl Secrets for AllButX {
    fn secret(&self, name: &str) -> Option<Arc<Resource>> {
        let secret = Cluster { name: name.to_owned(), ..Cluster::default() };
        (!name.starts_with('x')).then(|| Arc::new(Resource::new(name, &secret)))
    }

    fn readmit(&self, _name: &str) {}

    fn renewed(&self, name: &str) -> RenewedSecret {
        self.secret(name).map_or(RenewedSecret::Gone, RenewedSecret::Current)
    }

    fn last_use(&self, _name: &str) -> u64 {
        0
    }
}

/// A session and the model of its node.
struct Run {
    session: Session<DeltaStream, Node>,
    now: Instant,
    wildcards: BTreeSet<ResourceType>,
    asked: BTreeMap<ResourceType, BTreeSet<String>>,
    held: BTreeMap<ResourceType, BTreeMap<String, String>>,
    outstanding: Vec<(String, String)>,
    /// Set after a raw request, which may claim anything about the node. The model then no longer applies.
    known: bool,
}

impl Run {
    fn new() -> Self {
        let node = Node { served: Served { present: 0b11, content: 0 } };
        Self {
            session: Session::new(node, Arc::new(AllButX))
                .expect("resources without references fit together"),
            now: Instant::now(),
            wildcards: BTreeSet::new(),
            asked: BTreeMap::new(),
            held: BTreeMap::new(),
            outstanding: Vec::new(),
            known: true,
        }
    }

    fn subscribe(&mut self, kind: ResourceType, subscribe: &[String], unsubscribe: &[String]) {
        let first = !self.asked.contains_key(&kind);
        let asked = self.asked.entry(kind).or_default();
        let wildcard = |names: &[String]| names.iter().any(|name| name == "*");
        if wildcard(subscribe) || (first && subscribe.is_empty() && kind.has_wildcard()) {
            self.wildcards.insert(kind);
        }
        if wildcard(unsubscribe) {
            self.wildcards.remove(&kind);
        }
        for name in unsubscribe {
            asked.remove(name);
            // A node drops a resource when it unsubscribes.
            self.held.entry(kind).or_default().remove(name);
        }
        asked.extend(subscribe.iter().filter(|name| *name != "*").cloned());
        self.handle(Event::Request(DeltaDiscoveryRequest {
            type_url: kind.url().to_owned(),
            resource_names_subscribe: subscribe.to_vec(),
            resource_names_unsubscribe: unsubscribe.to_vec(),
            ..DeltaDiscoveryRequest::default()
        }));
    }

    fn acknowledge(&mut self, reject: bool) {
        if self.outstanding.is_empty() {
            return;
        }
        let (type_url, response_nonce) = self.outstanding.remove(0);
        let error_detail = reject.then(|| Status { message: "no".to_owned(), ..Status::default() });
        self.handle(Event::Request(DeltaDiscoveryRequest {
            type_url,
            response_nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        }));
    }

    fn renew(&mut self) {
        self.handle(Event::RenewalDue);
        // One step renews every name, so each step is the last one of a renewal.
        self.handle(Event::RenewalStep);
        assert!(!self.session.is_renewing());
    }

    fn raw(&mut self, bytes: &[u8]) {
        if let Ok(request) = decode_delta_request(bytes) {
            self.known = false;
            self.handle(Event::Request(request));
        }
    }

    fn handle(&mut self, event: Event<DeltaDiscoveryRequest>) {
        for response in self.session.handle(event, self.now).responses {
            self.apply(response);
        }
    }

    fn apply(&mut self, response: DeltaDiscoveryResponse) {
        let kind = ResourceType::of_url(&response.type_url).expect("a type that Weir serves");
        self.outstanding.push((response.type_url, response.nonce));
        assert!(
            !response.resources.is_empty() || !response.removed_resources.is_empty(),
            "an empty response"
        );
        let updated: BTreeSet<&String> = response.resources.iter().map(|resource| &resource.name).collect();
        assert_eq!(updated.len(), response.resources.len(), "one name twice");
        assert!(response.removed_resources.iter().all(|name| !updated.contains(name)), "kept and removed");
        let asked = self.asked.entry(kind).or_default();
        let wanted = |name: &String| asked.contains(name) || self.wildcards.contains(&kind);
        assert!(!self.known || updated.into_iter().all(wanted), "a resource that nobody subscribes to");
        let held = self.held.entry(kind).or_default();
        held.extend(response.resources.into_iter().map(|resource| (resource.name, resource.version)));
        for name in &response.removed_resources {
            held.remove(name);
            // Envoy asks for a secret again when a client dials its name again.
            if kind == ResourceType::Secret {
                asked.remove(name);
            }
        }
    }

    /// Acknowledges every response. The session then has nothing to send, and the node holds its subscriptions.
    fn settle(&mut self) {
        let mut answers = 0;
        while !self.outstanding.is_empty() {
            self.acknowledge(false);
            answers += 1;
            assert!(answers < 100_000, "an acknowledgement is answered for ever");
        }
        self.handle(Event::SnapshotChanged);
        while !self.outstanding.is_empty() {
            self.acknowledge(false);
        }
        let again = self.session.handle(Event::SnapshotChanged, self.now);
        assert!(again.responses.is_empty(), "{again:?}");
        for kind in ResourceType::OF_SNAPSHOT.into_iter().filter(|_| self.known) {
            let Some(asked) = self.asked.get(&kind) else { continue };
            let wanted = |name: &String| self.wildcards.contains(&kind) || asked.contains(name);
            let served = self.session.node().served.of(kind).into_iter().filter(|(name, _)| wanted(name));
            let served: BTreeMap<_, _> = served.map(|(name, resource)| (name, resource.version)).collect();
            let mut held = self.held.remove(&kind).unwrap_or_default();
            // A node may keep some resources after it has unsubscribed.
            held.retain(|name, _| wanted(name));
            assert_eq!(held, served, "{}", kind.as_str());
        }
    }
}
