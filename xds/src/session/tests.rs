//! A session driven event by event.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc::Status;

use super::*;
use crate::{DeltaStream, References, RenewedSecret, Resource};

/// A node whose route `table` follows the acceptance of its clusters, as a host's route does.
#[derive(Debug, Default)]
struct Node {
    clusters: Vec<&'static str>,
    adopted: Vec<String>,
    routed: bool,
    rejected: Vec<ResourceType>,
    /// Whether its clusters refer to a resource that does not exist.
    inconsistent: bool,
    /// Whether a rejection withdraws all clusters.
    gives_up: bool,
    secrets_in_advance: bool,
}

impl ServedNode for Node {
    fn snapshot(&self) -> Result<Arc<Snapshot>, InconsistentSnapshot> {
        let resource =
            |name: &str| Resource::new(name, &Cluster { name: name.to_owned(), ..Cluster::default() });
        let missing = self.inconsistent.then(|| (ResourceType::Secret, "missing".to_owned()));
        let references = References::from_iter(missing);
        let clusters =
            self.clusters.iter().map(|name| (ResourceType::Cluster, resource(name), references.clone()));
        let table = self.routed.then(|| (ResourceType::Route, resource("table"), References::new()));
        Snapshot::new(clusters.chain(table)).map(Arc::new)
    }

    fn adopt_clusters(&mut self, names: &[&str], _now: Instant) {
        self.adopted = names.iter().map(|name| (*name).to_owned()).collect();
    }

    fn accepted(&mut self, kind: ResourceType, _now: Instant) -> bool {
        let changed = kind == ResourceType::Cluster && !self.routed;
        self.routed |= changed;
        changed
    }

    fn rejected(&mut self, kind: ResourceType) -> bool {
        self.rejected.push(kind);
        if self.gives_up {
            self.clusters.clear();
        }
        self.gives_up
    }

    fn asks_for_secrets(&self) -> bool {
        !self.secrets_in_advance
    }
}

struct EveryName;

impl Secrets for EveryName {
    fn secret(&self, name: &str) -> Option<Arc<Resource>> {
        Some(Arc::new(Resource::new(name, &Cluster::default())))
    }

    fn readmit(&self, _name: &str) {}

    fn renewed(&self, name: &str) -> RenewedSecret {
        self.secret(name).map_or(RenewedSecret::Gone, RenewedSecret::Current)
    }

    fn last_use(&self, _name: &str) -> u64 {
        0
    }
}

type DeltaSession = Session<DeltaStream, Node>;

fn session(node: Node) -> DeltaSession {
    Session::new(node, Arc::new(EveryName)).unwrap()
}

fn request(kind: ResourceType, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.url().to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn ask(session: &mut DeltaSession, kind: ResourceType, names: &[&str]) -> Vec<DeltaDiscoveryResponse> {
    session.handle(Event::Request(request(kind, names)), Instant::now()).responses
}

fn answer(
    session: &mut DeltaSession,
    response: &DeltaDiscoveryResponse,
    rejection: Option<&str>,
) -> Output<DeltaDiscoveryResponse> {
    let answer = DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail: rejection.map(|text| Status { message: text.to_owned(), ..Status::default() }),
        ..DeltaDiscoveryRequest::default()
    };
    session.handle(Event::Request(answer), Instant::now())
}

fn kinds(responses: &[DeltaDiscoveryResponse]) -> Vec<ResourceType> {
    responses.iter().filter_map(|response| ResourceType::of_url(&response.type_url)).collect()
}

#[test]
fn a_route_follows_the_acceptance_of_its_cluster() {
    let mut session = session(Node { clusters: vec!["a"], ..Node::default() });
    let clusters = ask(&mut session, ResourceType::Cluster, &[]);
    assert_eq!(kinds(&clusters), [ResourceType::Cluster]);
    let refused = ask(&mut session, ResourceType::Route, &["table"]);
    assert_eq!(refused[0].removed_resources, ["table"], "no route before its cluster was accepted");
    assert!(!session.node().routed);
    let output = answer(&mut session, &clusters[0], None);
    assert_eq!(kinds(&output.responses), [ResourceType::Route]);
    assert!(session.node().routed);
}

#[test]
fn a_rejection_is_reported_once_and_what_the_node_gives_up_is_removed() {
    let mut session = session(Node { clusters: vec!["a"], gives_up: true, ..Node::default() });
    let clusters = ask(&mut session, ResourceType::Cluster, &[]);
    let output = answer(&mut session, &clusters[0], Some("no such socket"));
    let rejection = output.rejection.unwrap();
    assert_eq!(
        (rejection.kind, rejection.rejection.as_deref()),
        (ResourceType::Cluster, Some("no such socket"))
    );
    assert_eq!(session.node().rejected, [ResourceType::Cluster]);
    assert_eq!(output.responses[0].removed_resources, ["a"]);
    assert!(!session.status().is_settled(ResourceType::Cluster));
    assert!(answer(&mut session, &output.responses[0], None).rejection.is_none());
    assert!(session.status().is_settled(ResourceType::Cluster), "the rejected cluster is gone");
}

#[test]
fn a_faulty_resource_keeps_no_other_from_the_node() {
    let mut session = session(Node { clusters: vec!["a", "faulty", "z"], ..Node::default() });
    let together = ask(&mut session, ResourceType::Cluster, &[]);
    let apart = answer(&mut session, &together[0], Some("no such socket")).responses;
    let names = apart.iter().map(|response| response.resources[0].name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["a", "faulty", "z"]);
    assert!(apart.iter().all(|response| response.resources.len() == 1));
    for response in &apart {
        let rejection = (response.resources[0].name == "faulty").then_some("no such socket");
        assert!(
            answer(&mut session, response, rejection).responses.is_empty(),
            "sent once more, not for ever"
        );
    }
    assert_eq!(
        session.status().rejections().collect::<Vec<_>>(),
        [(ResourceType::Cluster, "no such socket")]
    );
    assert!(!session.is_in_force());
    session.node_mut().clusters = vec!["a", "z"];
    let removal = session.handle(Event::SnapshotChanged, Instant::now()).responses;
    assert_eq!(removal[0].removed_resources, ["faulty"]);
    answer(&mut session, &removal[0], None);
    assert!(session.status().is_settled(ResourceType::Cluster));
}

#[test]
fn a_resource_that_a_rejection_changed_is_sent_once() {
    let mut session = session(Node { clusters: vec!["a", "b"], gives_up: true, ..Node::default() });
    let together = ask(&mut session, ResourceType::Cluster, &[]);
    let output = answer(&mut session, &together[0], Some("no such socket"));
    assert_eq!(output.responses.len(), 1);
    assert_eq!(output.responses[0].removed_resources, ["a", "b"]);
}

#[test]
fn resources_are_in_force_when_all_types_are_accepted_and_the_newest_are_consistent() {
    let mut session = session(Node { clusters: vec!["a"], ..Node::default() });
    let mut open = Vec::new();
    for kind in ResourceType::OF_SNAPSHOT {
        assert!(!session.is_in_force());
        open.extend(ask(&mut session, kind, if kind.has_wildcard() { &[] } else { &["table"] }));
        while let Some(response) = open.pop() {
            assert!(!session.is_in_force(), "{kind:?} was not accepted yet");
            open.extend(answer(&mut session, &response, None).responses);
        }
    }
    assert!(session.is_in_force());
    session.node_mut().inconsistent = true;
    assert!(session.handle(Event::SnapshotChanged, Instant::now()).responses.is_empty());
    assert!(!session.is_in_force(), "the newest resources are inconsistent, so the node keeps the last ones");
    session.node_mut().inconsistent = false;
    session.handle(Event::SnapshotChanged, Instant::now());
    assert!(session.is_in_force());
}

#[test]
fn a_node_that_connects_again_keeps_its_clusters() {
    let mut session = session(Node { clusters: vec!["a"], ..Node::default() });
    let first = DeltaDiscoveryRequest {
        initial_resource_versions: [("a".to_owned(), "old".to_owned())].into(),
        ..request(ResourceType::Cluster, &[])
    };
    session.handle(Event::Request(first), Instant::now());
    assert_eq!(session.node().adopted, ["a"]);
}

#[test]
fn secrets_in_advance_are_neither_withdrawn_nor_renewed_in_steps() {
    for secrets_in_advance in [false, true] {
        let mut session = session(Node { secrets_in_advance, ..Node::default() });
        ask(&mut session, ResourceType::Secret, &["a.example"]);
        session.handle(Event::RenewalDue, Instant::now());
        assert_eq!(session.is_renewing(), !secrets_in_advance);
        let withdrawal = session.handle(Event::SecretWithdrawn("a.example".into()), Instant::now());
        assert_eq!(withdrawal.responses.is_empty(), secrets_in_advance);
    }
}

#[test]
fn an_idle_session_sends_nothing() {
    let mut session = session(Node { clusters: vec!["a"], ..Node::default() });
    let clusters = ask(&mut session, ResourceType::Cluster, &[]);
    answer(&mut session, &clusters[0], None);
    for event in [Event::SnapshotChanged, Event::RenewalDue, Event::RenewalStep] {
        assert!(session.handle(event, Instant::now()).responses.is_empty());
    }
}
