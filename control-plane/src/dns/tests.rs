//! Tests of the resolver over UDP, as Envoy uses it, with a name server behind it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Mutex;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
            let labels: Vec<&[u8]> = question.name().iter().collect();
            let name = String::from_utf8_lossy(&labels.join(&b'.')).to_ascii_lowercase();
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

/// The labels of a name with a final dot. The library's parser of text refuses some names.
fn labels(name: &str) -> impl Iterator<Item = &[u8]> {
    name.split('.').filter(|label| !label.is_empty()).map(str::as_bytes)
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
        query.add_query(Query::query(Name::from_labels(labels(name)).unwrap(), kind));
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
    for name in ["b.example.", "127.0.0.1.", ".", "_b.", "www.a.example."] {
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

/// Reads and writes messages with their lengths (RFC 7766, section 8).
async fn write(stream: &mut TcpStream, message: &Message) {
    let bytes = message.to_vec().unwrap();
    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
}

async fn read(stream: &mut TcpStream) -> Option<Message> {
    let mut bytes = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut bytes).await.unwrap();
    Some(Message::from_vec(&bytes).unwrap())
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    query
}

#[tokio::test]
async fn questions_over_tcp_get_the_answers_of_questions_over_udp_and_wait_for_no_other() {
    let served = Served::start("allowed_domains: [a.example, silent.example]").await;
    served.set("a.example", &["8.8.8.8", "127.0.0.1", "2606:4700::1111"]);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let questions = [
        query("silent.example.", RecordType::A),
        query("a.example.", RecordType::A),
        query("b.example.", RecordType::A),
        query("a.example.", RecordType::AAAA),
    ];
    for question in &questions {
        write(&mut stream, question).await;
    }
    let mut answers = BTreeMap::new();
    while answers.len() < questions.len() {
        let answer = read(&mut stream).await.expect("an answer");
        let addresses: Vec<_> = answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
        answers.insert(answer.metadata.id, (answers.len(), answer.metadata.response_code, addresses));
    }
    let [silent, v4, refused, v6] = questions.map(|question| answers[&question.metadata.id].clone());
    assert_eq!((silent.0, silent.1), (3, ResponseCode::ServFail), "the silent name is last");
    assert_eq!(v4.2, ["8.8.8.8".parse::<IpAddr>().unwrap()]);
    assert_eq!(refused.1, ResponseCode::Refused);
    assert_eq!(v6.2, ["2606:4700::1111".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn bytes_over_tcp_that_are_no_question_end_the_connection() {
    let served = Served::start("allowed_domains: [a.example]").await;
    served.set("a.example", &["8.8.8.8"]);
    for bytes in [&[0, 3, 1, 2, 3][..], &[0xff, 0xff, 1], &[0, 0]] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(read(&mut stream).await.is_none(), "{bytes:?}");
    }
    assert_eq!(served.both("a.example.").await, ["8.8.8.8"]);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_a_datagram_is_asked_for_over_tcp() {
    let (listener, socket) = loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    let address = socket.local_addr().unwrap();
    let reply = |query: &Message| {
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.add_query(query.queries[0].clone());
        answer
    };
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let mut answer = reply(&Message::from_vec(&buffer[..length]).unwrap());
            answer.metadata.truncation = true;
            socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Some(query) = read(&mut stream).await {
                    let mut answer = reply(&query);
                    let name = query.queries[0].name().clone();
                    if query.queries[0].query_type() == RecordType::A {
                        for number in 1..=100 {
                            let data = RData::A(A(Ipv4Addr::new(8, 8, 8, number)));
                            answer.add_answer(Record::from_rdata(name.clone(), 60, data));
                        }
                    }
                    write(&mut stream, &answer).await;
                }
            });
        }
    });
    let servers = NameServers::new(Some(address)).unwrap();
    let (addresses, _) = servers.addresses(&Host::parse(b"many.example").unwrap()).await.unwrap();
    assert_eq!(addresses.len(), 100);
}

#[tokio::test]
async fn every_name_that_is_a_host_can_be_resolved() {
    let longest = [&*"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(61)].join(".");
    let names = ["-a.example", "a-.example", "xn--a.example", "single", "1.a", "a--b.example", &longest];
    let policy: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let policy = policy.join(", ").replace("'xn--a.example'", "'*.example'");
    let served = Served::start(&format!("rules: [{{id: a, effect: allow, hosts: [{policy}]}}]")).await;
    for name in names {
        served.set(name, &["8.8.8.8"]);
        assert_eq!(served.both(&format!("{name}.")).await, ["8.8.8.8"], "{name}");
    }
}
