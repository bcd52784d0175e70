//! A name server for the tests' own names: authoritative, over UDP, on loopback. It counts the queries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

/// The TTL of answers, in seconds.
const TTL: u32 = 5;
/// The size of the socket's receive buffer, in bytes of queries.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The buffer for a query, longer than any UDP query without EDNS.
const LONGEST_QUERY: usize = 4096;

/// A running name server. It answers NXDOMAIN for unknown names.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    thread: Option<JoinHandle<()>>,
}

/// The server's behaviour in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Sends no answer.
    Silence,
    /// Sends no answer to queries for IPv6 addresses.
    SilenceForIpv6,
    /// Answers with this response code.
    Code(ResponseCode),
    /// Sends bytes that are not a DNS message.
    Garbage,
}

#[derive(Debug, Default)]
struct Zone {
    names: BTreeMap<String, Vec<IpAddr>>,
    /// Faults by the name itself or a parent of it.
    faults: BTreeMap<String, Fault>,
    queries: BTreeMap<String, usize>,
    closed: bool,
}

impl NameServer {
    /// Serves `names` on a free port of 127.0.0.1.
    pub fn start<N: Into<String>>(names: impl IntoIterator<Item = (N, Vec<IpAddr>)>) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port for the name server")?;
        // A burst of queries must not be lost on a busy machine. Only root may exceed the system's limit.
        set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).ok();
        let address = socket.local_addr()?;
        let names = names.into_iter().map(|(name, addresses)| (name.into(), addresses)).collect();
        let zone = Arc::new(Mutex::new(Zone { names, ..Zone::default() }));
        let served = Arc::clone(&zone);
        let thread = thread::spawn(move || serve(&socket, &served));
        Ok(Self { address, zone, thread: Some(thread) })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the addresses of a name from now on.
    pub fn set(&self, name: &str, addresses: Vec<IpAddr>) {
        lock(&self.zone).names.insert(name.to_owned(), addresses);
    }

    /// Sets the fault of a name and all names below it. `None` means normal answers.
    pub fn fail(&self, name: &str, fault: Option<Fault>) {
        let mut zone = lock(&self.zone);
        match fault {
            Some(fault) => drop(zone.faults.insert(name.to_owned(), fault)),
            None => drop(zone.faults.remove(name)),
        }
    }

    /// All names that were queried.
    pub fn asked(&self) -> BTreeSet<String> {
        lock(&self.zone).queries.keys().cloned().collect()
    }

    /// The number of queries for `name`, over all record types.
    pub fn queries(&self, name: &str) -> usize {
        lock(&self.zone).queries.get(name).copied().unwrap_or(0)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        lock(&self.zone).closed = true;
        // An empty datagram wakes the thread. If it cannot be sent, joining the thread would wait for ever.
        let woken =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().ok();
        }
    }
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut buffer = [0; LONGEST_QUERY];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let mut zone = lock(zone);
        if zone.closed {
            return;
        }
        let query = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok());
        // Invalid messages get no answer, as from any name server.
        if let Some(bytes) = query.and_then(|query| zone.answer(&query)) {
            socket.send_to(&bytes, client).ok();
        }
    }
}

impl Zone {
    fn answer(&mut self, query: &Message) -> Option<Vec<u8>> {
        let mut answer = self.message(query);
        let question = query.queries.first()?;
        match self.fault(&text(question.name())) {
            Some(Fault::Silence) => return None,
            Some(Fault::SilenceForIpv6) if question.query_type() == RecordType::AAAA => return None,
            Some(Fault::Code(code)) => {
                answer.answers.clear();
                answer.metadata.response_code = code;
            }
            Some(Fault::Garbage) => return Some(query.metadata.id.to_be_bytes().repeat(7)),
            Some(Fault::SilenceForIpv6) | None => {}
        }
        answer.to_vec().ok()
    }

    fn fault(&self, name: &str) -> Option<Fault> {
        let name = name.trim_end_matches('.');
        let above = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        std::iter::once(name).chain(above).find_map(|name| self.faults.get(name).copied())
    }

    fn message(&mut self, query: &Message) -> Message {
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        for question in &query.queries {
            answer.add_query(question.clone());
            let name = text(question.name());
            *self.queries.entry(name.clone()).or_default() += 1;
            let Some(addresses) = self.names.get(&name) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                continue;
            };
            for address in addresses {
                let data = match (address, question.query_type()) {
                    (IpAddr::V4(address), RecordType::A) => RData::A(A(*address)),
                    (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(*address)),
                    _ => continue,
                };
                answer.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
            }
        }
        answer
    }
}

/// The name as text in lower case, without a final dot and without escapes.
fn text(name: &Name) -> String {
    let labels: Vec<&[u8]> = name.iter().collect();
    String::from_utf8_lossy(&labels.join(&b'.')).to_ascii_lowercase()
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::str::FromStr;

    use hickory_proto::op::Query;

    use super::*;

    fn ask(server: &NameServer, name: &str, kind: RecordType) -> Result<Message> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_str(name)?, kind));
        socket.send_to(&query.to_vec()?, server.address())?;
        let mut buffer = [0; LONGEST_QUERY];
        let length = socket.recv(&mut buffer)?;
        let answer = Message::from_vec(&buffer[..length])?;
        assert_eq!(answer.metadata.id, query.metadata.id);
        Ok(answer)
    }

    fn addresses(message: &Message) -> Vec<IpAddr> {
        message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
    }

    #[test]
    fn a_name_has_the_addresses_of_the_family_asked_for() -> Result<()> {
        let both = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let server = NameServer::start([("alpha.weir.test", both)])?;
        let v4 = ask(&server, "alpha.weir.test.", RecordType::A)?;
        assert_eq!(addresses(&v4), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let v6 = ask(&server, "ALPHA.weir.test.", RecordType::AAAA)?;
        assert_eq!(addresses(&v6), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        Ok(())
    }

    #[test]
    fn an_unknown_name_does_not_exist_and_is_counted() -> Result<()> {
        let server = NameServer::start([("alpha.weir.test", vec![])])?;
        let unknown = ask(&server, "gamma.weir.test.", RecordType::A)?;
        assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
        let empty = ask(&server, "alpha.weir.test.", RecordType::A)?;
        assert_eq!(empty.metadata.response_code, ResponseCode::NoError);
        assert_eq!((server.queries("gamma.weir.test"), server.queries("beta.weir.test")), (1, 0));
        Ok(())
    }

    #[test]
    fn a_name_can_move() -> Result<()> {
        let server = NameServer::start([("alpha.weir.test", vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])])?;
        let moved = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
        server.set("alpha.weir.test", vec![moved]);
        assert_eq!(addresses(&ask(&server, "alpha.weir.test.", RecordType::A)?), [moved]);
        Ok(())
    }
}
