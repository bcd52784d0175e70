//! TLS around a plain connection, for tests that read and write the bytes inside themselves.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Result;

use crate::{Gateway, Process, Wire, require_program};

/// Relays with Python's standard library, which has TLS and is there wherever Envoy was installed.
const SCRIPT: &str = include_str!("tls_relay.py");

/// A running relay on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct TlsRelay {
    process: Process,
    address: SocketAddr,
}

impl TlsRelay {
    /// Takes TLS with this certificate, which offers one `protocol` by ALPN, and goes on to the plain `server`.
    pub fn serve(certificate: &Path, key: &Path, protocol: &str, server: SocketAddr) -> Result<Self> {
        Self::start(
            "serve",
            [protocol.as_ref(), server.to_string().as_ref(), certificate.as_os_str(), key.as_os_str()],
        )
    }

    /// Takes plain connections and goes on to `authority` (`HOST:PORT`) by a CONNECT through the gateway, with TLS
    /// inside that offers one `protocol` by ALPN and trusts the gateway's root alone.
    pub fn dial(gateway: &Gateway, authority: &str, protocol: &str) -> Result<Self> {
        let proxy = gateway.address()?.to_string();
        Self::start(
            "dial",
            [protocol.as_ref(), authority.as_ref(), gateway.authority().as_os_str(), proxy.as_ref()],
        )
    }

    fn start(mode: &str, arguments: [&OsStr; 4]) -> Result<Self> {
        // Bound before the child starts: whoever connects early waits in the backlog.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let mut command = Process::command(require_program("python3")?);
        command.args([OsString::from("-c"), SCRIPT.into(), mode.into()]).args(arguments);
        let process = Process::start("TLS relay", command.stdin(OwnedFd::from(listener)))?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection through it.
    pub fn connect(&self) -> Result<Wire> {
        Wire::connect(self.address)
    }

    /// What it said of the connections that failed.
    pub fn stderr(&self) -> String {
        self.process.stderr().text()
    }
}
