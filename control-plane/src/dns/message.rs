//! Questions and answers as bytes (RFC 1035, section 4).

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use weir_policy::Host;

/// The size that every client accepts over UDP (RFC 1035, section 4.2.1). At least eight addresses of either family fit
/// into it.
const LONGEST_ANSWER: usize = 512;
/// Added to an answer's lifetime. Envoy asks again when an answer expires; by then this resolver's result has expired
/// too, so that Envoy gets a new one, and the same one for both families.
const LONGER_THAN_TRUE: Duration = Duration::from_secs(2);

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// One question, in the form in which resolvers send it.
#[derive(Debug)]
pub(super) struct Question {
    id: u16,
    recursion_desired: bool,
    query: Query,
}

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses of the requested family. The list may be empty.
    Addresses { addresses: Vec<IpAddr>, seconds: u32 },
    /// The name does not exist.
    NoSuchName,
    /// No name server had an answer.
    Failed,
    /// The resolver does not answer questions for this name or record.
    Refused,
}

impl Answer {
    /// Makes an answer with these addresses, which the client may keep for `keep`.
    pub(super) fn addresses(addresses: Vec<IpAddr>, keep: Duration) -> Self {
        let seconds = keep.saturating_add(LONGER_THAN_TRUE).as_secs();
        Self::Addresses { addresses, seconds: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }
}

impl Question {
    /// Returns `None` for bytes that are not a single question of the class IN.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let message = Message::from_vec(bytes).ok()?;
        let metadata = &message.metadata;
        if metadata.message_type != MessageType::Query || metadata.op_code != OpCode::Query {
            return None;
        }
        let [query] = message.queries.as_slice() else { return None };
        (query.query_class() == DNSClass::IN).then(|| Self {
            id: metadata.id,
            recursion_desired: metadata.recursion_desired,
            query: query.clone(),
        })
    }

    /// Returns the host that the question names, or `None` if the name is not a host. The labels are read as bytes,
    /// because the library's text of a name escapes some that hosts have (`-a.example`). The policy admits names with `_` only
    /// as upstreams of rules.
    pub(super) fn host(&self) -> Option<Host> {
        let labels: Vec<&[u8]> = self.query.name().iter().collect();
        let is_dotted = labels.iter().any(|label| label.contains(&b'.'));
        Host::parse_upstream(&labels.join(&b'.')).ok().filter(|_| !is_dotted)
    }

    /// Returns the requested family of addresses. Returns `None` for every other record: service records (HTTPS, SVCB)
    /// contain addresses and keys.
    pub(super) fn family(&self) -> Option<Family> {
        [(RecordType::A, Family::V4), (RecordType::AAAA, Family::V6)]
            .into_iter()
            .find_map(|(kind, family)| (kind == self.query.query_type()).then_some(family))
    }

    /// Encodes the answer. If it has more addresses than fit into a datagram, it encodes the first ones.
    pub(super) fn answered(&self, answer: &Answer) -> Vec<u8> {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.recursion_available = true;
        message.add_query(self.query.clone());
        message.metadata.response_code = match answer {
            Answer::Addresses { addresses, seconds } => {
                for address in addresses.iter().take(LONGEST_ANSWER / 16) {
                    let data = match address {
                        IpAddr::V4(address) => RData::A(A(*address)),
                        IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
                    };
                    message.add_answer(Record::from_rdata(self.query.name().clone(), *seconds, data));
                }
                ResponseCode::NoError
            }
            Answer::NoSuchName => ResponseCode::NXDomain,
            Answer::Failed => ResponseCode::ServFail,
            Answer::Refused => ResponseCode::Refused,
        };
        loop {
            // A parsed message can be encoded. An empty message would look like a lost datagram to the client.
            let bytes = message.to_vec().unwrap_or_default();
            if bytes.len() <= LONGEST_ANSWER || message.answers.pop().is_none() {
                return bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use hickory_proto::rr::Name;

    use super::*;

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    #[test]
    fn an_answer_belongs_to_its_question() {
        let bytes = question("Alpha.example.", RecordType::A);
        let parsed = Question::parse(&bytes).unwrap();
        let host = parsed.host().map(|host| host.to_string());
        assert_eq!((host.as_deref(), parsed.family()), (Some("alpha.example"), Some(Family::V4)));
        let answer = Answer::addresses(vec!["8.8.8.8".parse().unwrap()], Duration::from_secs(5));
        let answer = Message::from_vec(&parsed.answered(&answer)).unwrap();
        let asked = Message::from_vec(&bytes).unwrap();
        assert_eq!((answer.metadata.id, &answer.queries), (asked.metadata.id, &asked.queries));
        assert!(answer.metadata.recursion_desired && !answer.metadata.truncation);
        let [record] = answer.answers.as_slice() else { panic!("{answer:?}") };
        assert_eq!((record.ttl, record.data.ip_addr()), (7, Some("8.8.8.8".parse().unwrap())));
    }

    #[test]
    fn a_name_that_is_not_a_host_names_none() {
        let host = |labels: &[&[u8]]| {
            let mut message = Message::query();
            message
                .add_query(Query::query(Name::from_labels(labels.iter().copied()).unwrap(), RecordType::A));
            let question = Question::parse(&message.to_vec().unwrap()).unwrap();
            question.host().map(|host| host.to_string())
        };
        assert_eq!(host(&[b"-a", b"b-"]).as_deref(), Some("-a.b-"));
        // A rule's upstream may have such a name.
        assert_eq!(host(&[b"a_b"]).as_deref(), Some("a_b"));
        for labels in [&[b"a.b".as_slice(), b"example"][..], &[b"a\\", b"b"], &[b"\xff"], &[]] {
            assert_eq!(host(labels), None, "{labels:?}");
        }
    }

    #[test]
    fn the_longest_name_has_eight_addresses_in_a_datagram() {
        let name = format!("{}.", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
        let parsed = Question::parse(&question(&name, RecordType::AAAA)).unwrap();
        let addresses = (0..50).map(|n| IpAddr::V6(Ipv6Addr::new(0x2606, 0, 0, 0, 0, 0, 0, n))).collect();
        let bytes = parsed.answered(&Answer::addresses(addresses, Duration::ZERO));
        assert!(bytes.len() <= LONGEST_ANSWER);
        let answer = Message::from_vec(&bytes).unwrap();
        assert!(answer.answers.len() >= 8 && !answer.metadata.truncation, "{}", answer.answers.len());
    }

    #[test]
    fn records_of_services_are_no_addresses() {
        for kind in [RecordType::HTTPS, RecordType::SVCB, RecordType::TXT, RecordType::ANY, RecordType::CNAME]
        {
            assert_eq!(Question::parse(&question("a.example.", kind)).unwrap().family(), None, "{kind}");
        }
    }

    #[test]
    fn what_is_no_single_question_is_passed_over() {
        let bytes = question("a.example.", RecordType::A);
        let message = || Message::from_vec(&bytes).unwrap();
        let mut two = message();
        two.add_query(two.queries[0].clone());
        let mut response = message();
        response.metadata.message_type = MessageType::Response;
        let mut update = message();
        update.metadata.op_code = OpCode::Update;
        let mut chaos = message();
        chaos.queries[0].set_query_class(DNSClass::CH);
        for odd in [two, response, update, chaos] {
            assert!(Question::parse(&odd.to_vec().unwrap()).is_none(), "{odd:?}");
        }
        assert!(Question::parse(&bytes).is_some());
        for end in 0..bytes.len() {
            assert!(Question::parse(&bytes[..end]).is_none());
        }
    }
}
