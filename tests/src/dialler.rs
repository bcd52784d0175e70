//! Thousands of TLS handshakes through a proxy, from this process. Starting a curl takes longer than one of them.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The time limit of one read or write.
const LIMIT: Duration = Duration::from_secs(20);

/// Opens tunnels through a proxy and performs TLS handshakes in them.
#[derive(Clone, Debug)]
pub struct Dialler {
    proxy: SocketAddr,
    config: Arc<ClientConfig>,
}

/// A tunnel in which TLS is established.
#[derive(Debug)]
pub struct Dialled {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// The time from before the TCP connection to the end of the handshake.
    pub took: Duration,
}

impl Dialler {
    /// Creates a dialler that uses this proxy and trusts the roots of this file. It does not resume sessions.
    pub fn new(proxy: SocketAddr, roots: &Path) -> Result<Self> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(roots)? {
            store.add(root?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { proxy, config: Arc::new(config) })
    }

    /// Performs a handshake with `name` at `port`. Returns `None` if the peer refused the handshake or closed the
    /// connection.
    pub fn dial(&self, name: &str, port: u16) -> Result<Option<Dialled>> {
        let started = Instant::now();
        let mut tcp = TcpStream::connect(self.proxy)?;
        tcp.set_read_timeout(Some(LIMIT))?;
        tcp.set_write_timeout(Some(LIMIT))?;
        tcp.set_nodelay(true)?;
        tcp.write_all(format!("CONNECT {name}:{port} HTTP/1.1\r\nhost: {name}:{port}\r\n\r\n").as_bytes())?;
        let head = read_head(&mut tcp)?;
        ensure!(head.starts_with("HTTP/1.1 200"), "CONNECT {name}: {head}");
        let server = ServerName::try_from(name.to_owned())?;
        let mut tls = ClientConnection::new(Arc::clone(&self.config), server)?;
        while tls.is_handshaking() {
            match tls.complete_io(&mut tcp) {
                Ok(_) => {}
                Err(error) if is_refusal(&error) => return Ok(None),
                Err(error) => return Err(error).with_context(|| format!("handshake with {name}")),
            }
        }
        Ok(Some(Dialled { took: started.elapsed(), stream: StreamOwned::new(tls, tcp) }))
    }
}

impl Dialled {
    /// Sends a GET of `/` through the tunnel and returns the status.
    pub fn get(mut self, authority: &str) -> Result<u16> {
        let request = format!("GET / HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut line = String::new();
        BufReader::new(self.stream).read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.with_context(|| format!("no status in `{line}`"))
    }
}

/// Reads to the end of the response head and no further: TLS follows.
fn read_head(tcp: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Returns whether the error is an alert or an end of the connection. A certificate that does not verify is a fault,
/// not a refusal.
fn is_refusal(error: &std::io::Error) -> bool {
    let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match alert {
        Some(rustls::Error::AlertReceived(_)) => true,
        Some(_) => false,
        None => matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
    }
}
