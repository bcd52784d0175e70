//! A client that repeats one request and always keeps Envoy busy.
//!
//! An Envoy that sleeps between two requests, or has to wake the client, spends processor time on that, and a slower
//! variant spends more. So a request is always pending, and the client polls for responses without sleeping.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{CertificateAuthority, Deadline};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The number of connections, with one pending request each.
const CONNECTIONS: usize = 40;
/// The time limit of a response.
const PATIENCE: Duration = Duration::from_secs(20);

type Connection = BufReader<StreamOwned<ClientConnection, Sleepless>>;

/// A socket that is polled without sleeping until it has data.
struct Sleepless(UnixStream);

/// Open connections, and the request that is repeated on them.
pub(super) struct Load {
    connections: Vec<Connection>,
    request: String,
}

impl Load {
    /// Connects to a socket under this server name, and verifies the certificate with this authority.
    pub(super) fn connect(socket: &Path, host: &str, authority: &CertificateAuthority) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let config = Arc::new(config);
        let connect = |_| {
            let tls = ClientConnection::new(Arc::clone(&config), ServerName::try_from(host.to_owned())?)?;
            let stream = UnixStream::connect(socket)?;
            stream.set_nonblocking(true)?;
            Ok(BufReader::new(StreamOwned::new(tls, Sleepless(stream))))
        };
        let connections = (0..CONNECTIONS).map(connect).collect::<Result<_>>()?;
        let request = format!(
            "GET /v1/items?page=2 HTTP/1.1\r\nhost: {host}\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\
             accept-encoding: gzip, deflate\r\nauthorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n"
        );
        Ok(Self { connections, request })
    }

    /// Sends this many requests, and checks each response's status.
    pub(super) fn send(&mut self, requests: usize, status: u16) -> Result<()> {
        for connection in &mut self.connections {
            connection.get_mut().write_all(self.request.as_bytes())?;
        }
        for left in (0..requests / CONNECTIONS).rev() {
            for connection in &mut self.connections {
                let answered = read_answer(connection)?;
                ensure!(answered == status, "status {answered} instead of {status}");
                if left > 0 {
                    connection.get_mut().write_all(self.request.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

impl Sleepless {
    fn look<T>(&mut self, mut attempt: impl FnMut(&mut UnixStream) -> io::Result<T>) -> io::Result<T> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            match attempt(&mut self.0) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && !deadline.remaining().is_zero() =>
                {
                    std::hint::spin_loop();
                }
                result => return result,
            }
        }
    }
}

impl Read for Sleepless {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.look(|stream| stream.read(bytes))
    }
}

impl Write for Sleepless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads a response with a `content-length`, and returns its status.
fn read_answer(connection: &mut Connection) -> Result<u16> {
    let (mut line, mut status, mut length) = (String::new(), None, 0);
    loop {
        line.clear();
        ensure!(connection.read_line(&mut line)? > 0, "the connection ended");
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(": ") {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            }
        } else {
            status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    status.context("no status line")
}
