//! Tests of the resolver over UDP, as Envoy uses it, with a name server behind it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Mutex;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::*;

type Zone = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// Starts a name server that knows `zone`, never answers for `silent.example`, and answers every other name with an
/// alias.
async fn name_server(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = query.queries[0].clone();
            let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
            answer.metadata.recursion_available = true;
            answer.add_query(question.clone());
            let name = question.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
            if name == "silent.example" {
                continue;
            }
            let alias = Name::from_str("alias.example.").unwrap();
            match zone.lock().unwrap().get(&name) {
                Some(addresses) => {
                    answer.add_answer(Record::from_rdata(
                        question.name().clone(),
                        60,
                        RData::CNAME(CNAME(alias.clone())),
                    ));
                    for address in addresses {
                        let data = match (address, question.query_type()) {
                            (IpAddr::V4(address), RecordType::A) => RData::A(A(*address)),
                            (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(*address)),
                            _ => continue,
                        };
                        answer.add_answer(Record::from_rdata(alias.clone(), 60, data));
                    }
                }
                None => answer.metadata.response_code = ResponseCode::NXDomain,
            }
            socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        }
    });
    address
}

struct Served {
    address: SocketAddr,
    zone: Zone,
    policy: watch::Sender<Arc<Policy>>,
    own: watch::Sender<OwnAddresses>,
}

fn policy(source: &str) -> Arc<Policy> {
    Arc::new(weir_policy::compile(source).unwrap_or_else(|faults| panic!("{faults}")))
}

impl Served {
    async fn start(source: &str) -> Self {
        let zone = Zone::default();
        let servers = NameServers::new(Some(name_server(Arc::clone(&zone)).await)).unwrap();
        let resolver = Resolver::bind().await.unwrap();
        let address = resolver.address();
        let sender = watch::Sender::new(policy(source));
        let own = watch::Sender::new(OwnAddresses::default());
        tokio::spawn(resolver.serve(sender.subscribe(), own.subscribe(), servers, BTreeSet::new));
        Self { address, zone, policy: sender, own }
    }

    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.zone.lock().unwrap().insert(name.to_owned(), addresses);
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_str(name).unwrap(), kind));
        socket.send_to(&query.to_vec().unwrap(), self.address).await.unwrap();
        let mut buffer = [0; 4096];
        let received = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut buffer)).await;
        let answer = Message::from_vec(&buffer[..received.expect("an answer").unwrap()]).unwrap();
        assert_eq!(answer.metadata.id, query.metadata.id);
        answer
    }

    async fn both(&self, name: &str) -> Vec<String> {
        let mut addresses = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let answer = self.ask(name, kind).await;
            addresses.extend(answer.answers.iter().filter_map(|record| record.data.ip_addr()));
        }
        addresses.iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn what_one_family_is_given_depends_on_the_other() {
    let served = Served::start("allowed_domains: [a.example, b.example, c.example]").await;
    served.set("a.example", &["8.8.8.8", "127.0.0.1", "::1"]);
    served.set("b.example", &["10.0.0.1", "2606:4700::1111"]);
    served.set("c.example", &["10.0.0.1", "fd00::1"]);
    assert_eq!(served.both("A.example.").await, ["8.8.8.8"]);
    assert_eq!(served.both("b.example.").await, ["2606:4700::1111"]);
    assert_eq!(served.both("c.example.").await, ["192.0.0.8", "100::1"]);
}

#[tokio::test]
async fn names_outside_the_policy_and_records_of_services_are_not_looked_up() {
    let served = Served::start("allowed_domains: [a.example]").await;
    served.set("b.example", &["8.8.8.8"]);
    for name in ["b.example.", "127.0.0.1.", ".", "a_b.", "www.a.example."] {
        let answer = served.ask(name, RecordType::A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{name}");
    }
    let answer = served.ask("a.example.", RecordType::HTTPS).await;
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
}

#[tokio::test]
async fn a_name_that_is_not_there_is_told_from_one_that_nobody_answers_for() {
    let served = Served::start("allowed_domains: [gone.example, silent.example]").await;
    let gone = served.ask("gone.example.", RecordType::AAAA).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    let silent = served.ask("silent.example.", RecordType::A).await;
    assert_eq!(silent.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn an_edit_of_the_policy_counts_for_what_was_looked_up_before() {
    let source = "rules: [{id: a, effect: allow, hosts: [a.example], addresses: [10.0.0.1]}]";
    let served = Served::start(source).await;
    served.set("a.example", &["8.8.8.8", "10.0.0.1"]);
    assert_eq!(served.both("a.example.").await, ["10.0.0.1"]);
    served.set("a.example", &["127.0.0.1"]);
    served.policy.send_replace(policy("allowed_domains: [a.example]"));
    assert_eq!(served.both("a.example.").await, ["8.8.8.8"]);
    served.policy.send_replace(policy("allowed_domains: [b.example]"));
    assert_eq!(served.both("a.example.").await, [""; 0]);
}

#[tokio::test]
async fn an_address_that_becomes_the_machines_own_is_kept_back_at_once() {
    let served = Served::start("allowed_domains: [a.example]").await;
    served.set("a.example", &["8.8.8.8", "8.8.4.4"]);
    assert_eq!(served.both("a.example.").await, ["8.8.8.8", "8.8.4.4"]);
    served.own.send_replace(OwnAddresses::new(["8.8.8.8/32".parse().unwrap()]));
    assert_eq!(served.both("a.example.").await, ["8.8.4.4"]);
}

#[tokio::test]
async fn name_servers_are_asked_anew_and_what_has_moved_inward_is_kept_back() {
    let served = Served::start("allowed_domains: [a.example]").await;
    let servers = NameServers::new(Some(name_server(Arc::clone(&served.zone)).await)).unwrap();
    let host = Host::parse(b"a.example").unwrap();
    served.set("a.example", &["8.8.8.8"]);
    let (first, _) = servers.addresses(&host).await.unwrap();
    served.set("a.example", &["8.8.8.8", "127.0.0.1", "::ffff:127.0.0.1"]);
    let (second, _) = servers.addresses(&host).await.unwrap();
    assert_eq!((first.len(), second.len()), (1, 3), "name servers are asked each time");
    assert_eq!(served.both("a.example.").await, ["8.8.8.8"]);
}
