//! An upstream whose every byte the test writes: HTTP/1.1 by hand, plain or behind a TLS front.

mod http2_front;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::{Deadline, EnvoyBinary, Head, Run, RunningGateway, TlsRelay, UpstreamHosts, Wire};
use http2_front::Http2Front;

/// The host name of every origin. It resolves to 127.0.0.1 once an origin was started.
pub const ORIGIN: &str = "origin.weir.test";

/// The server in front of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// No front: plain HTTP.
    Plain,
    /// TLS that offers only HTTP/1.1 and relays bytes unchanged.
    Http1,
    /// TLS that offers only h2 and relays bytes unchanged. The head of the first request is the HTTP/2 preface.
    Frames,
    /// A real server that offers h2 beside HTTP/1.1 and forwards requests as HTTP/1.1 without buffering. It adds
    /// `x-front-protocol: HTTP/2.0` to requests and the trailer `x-front-trailer: end` to responses.
    Http2,
}

/// A running origin. Dropping it ends the origin and its front.
#[derive(Debug)]
pub struct Origin {
    front: Option<RunningFront>,
    address: SocketAddr,
    own_address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

#[derive(Debug)]
enum RunningFront {
    Relay(#[expect(dead_code, reason = "it runs as long as it is held")] TlsRelay),
    Http2(#[expect(dead_code, reason = "it runs as long as it is held")] Http2Front),
}

impl Origin {
    /// Starts an origin under [`ORIGIN`], with a certificate from one of the hosts' roots. `answer` gets the head of
    /// each request and the connection after it. Its error ends the connection and is printed on stderr.
    pub fn start(
        hosts: &UpstreamHosts,
        front: Front,
        answer: impl Fn(&Head, &mut Wire) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let directory = TempDir::new()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let own_address = listener.local_addr()?;
        let certificate = hosts.alpha_authority.issue(&[ORIGIN])?;
        let (chain, key) = (directory.path().join("origin.crt"), directory.path().join("origin.key"));
        fs::write(&chain, certificate.chain_pem)?;
        fs::write(&key, certificate.key_pem)?;
        let (front, address) = match front {
            Front::Plain => (None, own_address),
            Front::Http1 | Front::Frames => {
                let protocol = if front == Front::Frames { "h2" } else { "http/1.1" };
                let relay = TlsRelay::serve(&chain, &key, protocol, own_address)?;
                let address = relay.address();
                (Some(RunningFront::Relay(relay)), address)
            }
            Front::Http2 => {
                let server = Http2Front::start(directory.path(), own_address)?;
                let address = server.address();
                (Some(RunningFront::Http2(server)), address)
            }
        };
        hosts.dns.set(ORIGIN, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let (heads, closed) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let accepting = (Arc::clone(&heads), Arc::clone(&closed));
        let thread = thread::spawn(move || accept(&listener, &accepting.0, &accepting.1, &Arc::new(answer)));
        Ok(Self { front, address, own_address, heads, closed, thread: Some(thread), _directory: directory })
    }

    /// Starts a gateway that allows every method and path of these origins.
    pub fn gateway(envoy: &EnvoyBinary, hosts: &UpstreamHosts, origins: &[&Self]) -> Result<RunningGateway> {
        let rules = origins.iter().map(|origin| origin.rule()).collect::<String>();
        Run::new(envoy, hosts, &format!("rules:\n{rules}"))?.start()
    }

    /// A policy rule that allows every method and path of this origin.
    pub fn rule(&self) -> String {
        let (port, scheme) = (self.port(), self.scheme());
        format!(
            "  - id: origin-{port}\n    effect: allow\n    hosts: [{ORIGIN}]\n    ports: [{port}]\n    \
             schemes: [{scheme}]\n    addresses: [127.0.0.1/32]\n"
        )
    }

    fn scheme(&self) -> &'static str {
        if self.front.is_some() { "https" } else { "http" }
    }

    /// The port of the front, or of the origin if it has none.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The authority `HOST:PORT`.
    pub fn authority(&self) -> String {
        format!("{ORIGIN}:{}", self.port())
    }

    /// The URL `SCHEME://HOST:PORT/PATH`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.authority())
    }

    /// Waits until `count` requests have arrived, and returns their heads. More than `count` is an error.
    pub fn wait_heads(&self, count: usize) -> Result<Vec<Head>> {
        let heads = Deadline::seconds(20).poll("requests at the origin", || {
            let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok((heads.len() >= count).then_some(heads))
        })?;
        ensure!(heads.len() == count, "expected {count} requests, got {heads:#?}");
        Ok(heads)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // The origin's connections end with the front, and so do the threads that serve them.
        self.front = None;
        self.closed.store(true, Ordering::SeqCst);
        // A connection wakes the thread. If it fails, joining the thread would wait for ever.
        let woken = TcpStream::connect(self.own_address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().ok();
        }
    }
}

fn accept<A>(listener: &TcpListener, heads: &Arc<Mutex<Vec<Head>>>, closed: &AtomicBool, answer: &Arc<A>)
where
    A: Fn(&Head, &mut Wire) -> Result<()> + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept() {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let (heads, answer) = (Arc::clone(heads), Arc::clone(answer));
        thread::spawn(move || {
            if let Err(error) = serve(stream, &heads, answer.as_ref()) {
                eprintln!("origin: {error:#}");
            }
        });
    }
}

fn serve(
    stream: TcpStream,
    heads: &Mutex<Vec<Head>>,
    answer: &impl Fn(&Head, &mut Wire) -> Result<()>,
) -> Result<()> {
    let mut wire = Wire::new(stream)?;
    // The origin never closes an idle connection: Envoy could send a request on it at that moment, and answer 503.
    // An error here is a normal end: the peer closed a connection after use, or instead of reusing it.
    while let (Ok(true), Ok(Some(head))) = (wire.wait_readable(), wire.read_head()) {
        heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
        answer(&head, &mut wire)?;
        if wire.is_ended() {
            break;
        }
    }
    Ok(())
}
