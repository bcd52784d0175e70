//! The resolver that Envoy uses. It forwards questions to name servers, and withholds every address that a rule could
//! refuse.
//!
//! The address guard inside Envoy judges the first address of a name, and Envoy tries the next address when the first
//! does not answer. So the resolver does not give Envoy an address that must not be reached (`dns/admitted.rs`). It
//! resolves only names of the policy's allow rules, and only to addresses. Every answer fits into a datagram.
//!
//! The resolver trusts the operator's name servers to be reachable, and does not trust their answers.

pub(crate) mod admitted;
mod lookups;
mod message;
pub(crate) mod name_servers;
mod shared_addresses;
mod tcp;
mod turns;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};
use weir_policy::{Host, Policy};

use admitted::Admitted;
use lookups::{Found, Lookups};
use message::{Answer, Family, Question};
use name_servers::NameServers;
use shared_addresses::SharedAddresses;

use crate::address::own::OwnAddresses;
use crate::envoy::capabilities::UpstreamTlsStrategy;

/// The maximum number of questions that wait for an answer. The resolver drops further ones, and Envoy repeats them.
/// Envoy sends two questions for each name; [`turns`] decides which of them cost a lookup.
const MOST_AT_ONCE: usize = 16_384;
/// The maximum size of a question from Envoy (RFC 1035, section 4.2.1).
const LONGEST_QUESTION: usize = 512;

/// The number of times that a port is free for TCP and taken for UDP before [`Resolver::bind`] fails.
const PORTS_TRIED: usize = 16;

/// The size of the kernel's buffer for questions, in bytes. Questions beyond it are lost, and Envoy repeats them.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A resolver on a free port of the loopback interface, over UDP and TCP.
///
/// Envoy asks over TCP where the machine's `resolv.conf` says so (`options use-vc`), which its configuration cannot prevent.
#[derive(Debug)]
pub(crate) struct Resolver {
    socket: Arc<UdpSocket>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Resolver {
    /// Binds the port. The resolver answers only once [`Resolver::serve`] runs.
    ///
    /// # Errors
    /// When no port is free for both protocols.
    pub(crate) async fn bind() -> io::Result<Self> {
        let mut tries = 0..PORTS_TRIED;
        let (socket, listener) = loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            match UdpSocket::bind(listener.local_addr()?).await {
                Ok(socket) => break (socket, listener),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries.next().is_some() => {}
                Err(error) => return Err(error),
            }
        };
        // Takes as much as the kernel gives: Envoy may ask for a thousand names at once.
        set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        let address = socket.local_addr()?;
        Ok(Self { socket: Arc::new(socket), listener, address })
    }

    /// Returns the address at which Envoy reaches the resolver.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers questions by the newest policy until the future is dropped. When two names share an address, it logs the
    /// `strategies` of the connected Envoys for such names.
    ///
    /// # Errors
    /// When a socket fails for good.
    pub(crate) async fn serve(
        self,
        policy: watch::Receiver<Arc<Policy>>,
        own: watch::Receiver<OwnAddresses>,
        servers: NameServers,
        strategies: impl Fn() -> BTreeSet<UpstreamTlsStrategy> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let answers = Arc::new(Answers {
            policy,
            own,
            lookups: Lookups::new(servers),
            neighbours: Neighbours::new(strategies),
            permits: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        });
        tokio::try_join!(datagrams(self.socket, Arc::clone(&answers)), tcp::serve(self.listener, answers))?;
        Ok(())
    }
}

/// The source of answers.
struct Answers<S> {
    policy: watch::Receiver<Arc<Policy>>,
    own: watch::Receiver<OwnAddresses>,
    lookups: Lookups,
    neighbours: Neighbours<S>,
    /// Bounds the questions that wait for an answer.
    permits: Arc<Semaphore>,
}

/// Answers questions over UDP.
async fn datagrams<S>(socket: Arc<UdpSocket>, answers: Arc<Answers<S>>) -> io::Result<()>
where
    S: Fn() -> BTreeSet<UpstreamTlsStrategy> + Send + Sync + 'static,
{
    let waiting = Arc::new(Mutex::new(HashSet::new()));
    let mut buffer = [0; LONGEST_QUESTION];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // Linux reports here that an earlier answer could not be delivered.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        // Bytes that are not a question get no answer.
        let Some(question) = buffer.get(..length).and_then(Question::parse) else { continue };
        let Ok(permit) = Arc::clone(&answers.permits).try_acquire_owned() else { continue };
        // A question that is repeated before it is answered gets one answer.
        let asked = (client, Box::<[u8]>::from(buffer.get(..length).unwrap_or_default()));
        if !lock(&waiting).insert(asked.clone()) {
            continue;
        }
        let (socket, answers, waiting) = (Arc::clone(&socket), Arc::clone(&answers), Arc::clone(&waiting));
        tokio::spawn(async move {
            let answer = answers.answer(&question).await;
            if let Err(error) = socket.send_to(&question.answered(&answer), client).await {
                tracing::debug!(%error, "an answer could not be sent");
            }
            lock(&waiting).remove(&asked);
            drop(permit);
        });
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs names that share an address.
struct Neighbours<S> {
    shared: Mutex<SharedAddresses>,
    strategies: S,
}

impl<S: Fn() -> BTreeSet<UpstreamTlsStrategy>> Neighbours<S> {
    fn new(strategies: S) -> Self {
        Self { shared: Mutex::default(), strategies }
    }

    fn found(&self, host: &Host, addresses: &[IpAddr]) {
        let found = lock(&self.shared).found(host, addresses);
        let Some((address, other)) = found else { return };
        for strategy in (self.strategies)() {
            let strategy = strategy.for_hosts_on_one_address();
            tracing::info!("`{host}` and `{other}` share {address}; {strategy}");
        }
    }
}

impl<S: Fn() -> BTreeSet<UpstreamTlsStrategy>> Answers<S> {
    async fn answer(&self, question: &Question) -> Answer {
        let Some(host) = question.host().filter(|host| !host.is_address()) else { return Answer::Refused };
        if Admitted::new(&self.policy.borrow(), &host).is_none() {
            return Answer::Refused;
        }
        let Some(family) = question.family() else { return Answer::addresses(Vec::new(), Duration::ZERO) };
        match &*self.lookups.find(&host).await {
            Found::Addresses { addresses, until } => {
                // The newest policy decides, however old the lookup is.
                let policy = self.policy.borrow();
                let Some(admitted) = Admitted::new(&policy, &host) else { return Answer::Refused };
                let given = admitted.filter(addresses, &self.own.borrow());
                if given != *addresses {
                    tracing::info!(%host, ?addresses, ?given, "some addresses of the name are withheld from Envoy");
                }
                // Excludes the placeholder address of a name without an admitted one.
                let known: Vec<_> =
                    given.iter().copied().filter(|address| addresses.contains(address)).collect();
                self.neighbours.found(&host, &known);
                let given = given.into_iter().filter(|address| address.is_ipv4() == (family == Family::V4));
                Answer::addresses(given.collect(), until.saturating_duration_since(Instant::now()))
            }
            Found::Nothing { .. } => Answer::NoSuchName,
            Found::Failed { .. } => Answer::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
