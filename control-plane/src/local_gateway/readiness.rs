//! The readiness of a run: Envoy has accepted all resources, the filter answers at each address, and the answer came
//! from the run's own Envoy.
//!
//! The access log proves the last: only the run's own Envoy can send it, and it must report the very connection that
//! was answered.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::error::RunError;
use super::listening::{Door, Listening};
use crate::control_plane::ControlPlane;
use crate::decision_log::LoggedDecision;
use crate::envoy::capabilities::UpstreamTlsChoice;
use crate::local_gateway::envoy::Envoy;

const PROBE_INTERVAL: Duration = Duration::from_millis(5);
/// The maximum wait for a probe's answer and its decision. After it, another probe is sent.
const PROBE_LASTS: Duration = Duration::from_secs(1);
/// The interval at which Weir looks for a program that listens in Envoy's place.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Envoy's log line if it could bind a socket, and another program was the first to listen. Envoy does not report this
/// to the control plane.
const CANNOT_LISTEN: &str = "cannot listen()";
/// The maximum size of an answer. Any program may be the one that answers.
const LONGEST_ANSWER: usize = 16 * 1024;

/// The result of a start.
pub(crate) enum StartOutcome {
    /// The run's own Envoy answers at every address.
    Ready {
        /// The probes' host. Decisions about it are not the user's.
        host: String,
    },
    /// Another program was the first to listen.
    Lost(Door),
}

/// Waits for an Envoy that is starting.
pub(crate) struct Readiness<'a> {
    control_plane: &'a ControlPlane,
    listening: &'a Listening,
    choice: UpstreamTlsChoice,
    process: u32,
    log: &'a Path,
    host: String,
}

impl<'a> Readiness<'a> {
    pub(crate) fn new(
        control_plane: &'a ControlPlane,
        listening: &'a Listening,
        choice: UpstreamTlsChoice,
        envoy: &Envoy,
        log: &'a Path,
    ) -> Self {
        // Process ids are never 0.
        let process = envoy.id().unwrap_or(0);
        Self { control_plane, listening, choice, process, log, host: probe_host() }
    }

    /// Waits until the start succeeds or fails.
    pub(crate) async fn wait(self) -> Result<StartOutcome, RunError> {
        if let Some(door) = self.accepted().await? {
            return Ok(StartOutcome::Lost(door));
        }
        let mut proofs: JoinSet<()> = JoinSet::new();
        for door in self.listening.doors() {
            let decisions = self.control_plane.decisions().subscribe();
            proofs.spawn(prove(door, self.host.clone(), decisions));
        }
        tokio::select! {
            _ = proofs.join_all() => Ok(StartOutcome::Ready { host: self.host }),
            door = self.lost() => Ok(StartOutcome::Lost(door)),
        }
    }

    /// Waits until Envoy has accepted all resources, or reports an address as taken.
    async fn accepted(&self) -> Result<Option<Door>, RunError> {
        let mut nodes = self.control_plane.nodes().subscribe();
        loop {
            if let Some((kind, text)) = nodes.borrow_and_update().values().find_map(|node| {
                let (kind, text) = node.stream.rejections().next()?;
                Some((kind.as_str(), text.to_owned()))
            }) {
                let refused = self.listening.doors().into_iter().find(|door| is_refused(&text, door.address));
                return refused.map(Some).ok_or(RunError::Rejected { kind, text });
            }
            let choice = |version, protocol| self.choice.strategy(version, protocol).err();
            let refused = nodes.borrow().values().find_map(|node| choice(node.version, node.protocol));
            if let Some(refused) = refused {
                return Err(RunError::Strategy(refused));
            }
            if nodes.borrow().values().any(|node| node.stream.is_ready()) {
                return Ok(None);
            }
            if nodes.changed().await.is_err() {
                // The control plane holds the other end.
                return std::future::pending().await;
            }
        }
    }

    /// Waits until another program listens in Envoy's place.
    async fn lost(&self) -> Door {
        loop {
            sleep(LOOK_INTERVAL).await;
            let doors = self.listening.doors();
            if let Some(door) = doors.iter().find(|door| door.is_taken_from(self.process)) {
                return *door;
            }
            // The other program may have ended by now, and Envoy does not try again.
            let log = std::fs::read(self.log).unwrap_or_default();
            let refused = String::from_utf8_lossy(&log).contains(CANNOT_LISTEN);
            if let Some(door) = doors.iter().find(|door| refused && !door.is_held_by(self.process)) {
                return *door;
            }
        }
    }
}

/// The message of Envoy and of the kernel for an address in use.
const IN_USE: &str = "Address already in use";

fn is_refused(rejection: &str, address: SocketAddr) -> bool {
    rejection.contains(IN_USE) && rejection.contains(&format!("'{address}'"))
}

/// Makes a host that no policy allows (RFC 6761, 6.4) and no client guesses.
fn probe_host() -> String {
    let random = RandomState::new().hash_one(0);
    format!("readiness-{random:016x}.weir.invalid")
}

/// Waits until the filter answers at the address, and the run's own Envoy has logged that answer.
async fn prove(door: Door, host: String, mut decisions: Receiver<LoggedDecision>) {
    loop {
        // Workers get an accepted filter a moment later, and deny every request until then.
        let answered = timeout(PROBE_LASTS, filter_answers(door.address, &host)).await;
        match answered {
            Ok(Ok(Some(client))) => {
                if timeout(PROBE_LASTS, told(&mut decisions, door, client)).await.is_ok() {
                    return;
                }
            }
            Ok(_) | Err(_) => sleep(PROBE_INTERVAL).await,
        }
    }
}

/// Waits until Envoy has logged a connection of this client.
async fn told(decisions: &mut Receiver<LoggedDecision>, door: Door, client: SocketAddr) {
    loop {
        match decisions.recv().await {
            Ok(decision) => {
                let said = decision.client.as_deref().and_then(|client| client.parse().ok());
                if decision.listener == door.listener && said == Some(client) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Sends a probe. Returns this end of the connection if the filter answered.
async fn filter_answers(listen: SocketAddr, host: &str) -> io::Result<Option<SocketAddr>> {
    let mut connection = TcpStream::connect(loopback(listen)).await?;
    let request = format!("GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let head = read_answer(&mut connection).await?;
    let answers = head.contains("x-weir-decision: ") && !head.contains("x-weir-decision: policy_missing");
    answers.then(|| connection.local_addr()).transpose()
}

/// Reads an answer to its end, and returns its head. With unread content, closing the connection would reset it, and Envoy
/// would count it as a client's for another second.
async fn read_answer(connection: &mut TcpStream) -> io::Result<String> {
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while answer.len() < LONGEST_ANSWER && !is_whole(&answer) {
        match connection.read(&mut part).await? {
            0 => break,
            count => answer.extend_from_slice(&part[..count]),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    Ok(text.split_once("\r\n\r\n").map_or(text.as_ref(), |(head, _)| head).to_owned())
}

/// Returns whether these bytes hold a head and all the content that it announces.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, content)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    content.len() >= length.unwrap_or(0)
}

/// Converts the address of a listener on all addresses to one at which this process reaches it.
fn loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
