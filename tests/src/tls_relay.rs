//! A relay that adds TLS to a plain connection, for tests that read and write the bytes inside TLS themselves.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Result;

use crate::{Process, RunningGateway, Wire, require_program};

/// The relay's script, for Python's standard library. It has TLS, and is there wherever Envoy was installed.
const SCRIPT: &str = include_str!("tls_relay.py");

/// A running relay on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct TlsRelay {
    process: Process,
    address: SocketAddr,
}

impl TlsRelay {
    /// Accepts TLS with this certificate, offers one `protocol` by ALPN, and relays to the plain `server`.
    pub fn serve(certificate: &Path, key: &Path, protocol: &str, server: SocketAddr) -> Result<Self> {
        Self::start(
            "serve",
            [protocol.as_ref(), server.to_string().as_ref(), certificate.as_os_str(), key.as_os_str()],
        )
    }

    /// Accepts plain connections and relays them to `authority` (`HOST:PORT`) through a CONNECT of the gateway. The
    /// TLS inside offers one `protocol` by ALPN and trusts only the gateway's root.
    pub fn dial(gateway: &RunningGateway, authority: &str, protocol: &str) -> Result<Self> {
        let proxy = gateway.address()?.to_string();
        Self::start(
            "dial",
            [protocol.as_ref(), authority.as_ref(), gateway.authority().as_os_str(), proxy.as_ref()],
        )
    }

    fn start(mode: &str, arguments: [&OsStr; 4]) -> Result<Self> {
        // The socket is bound before the child starts, so an early client waits in the backlog.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let mut command = Process::command(require_program("python3")?);
        command.args([OsString::from("-c"), SCRIPT.into(), mode.into()]).args(arguments);
        let process = Process::start("TLS relay", command.stdin(OwnedFd::from(listener)))?;
        Ok(Self { process, address })
    }

    /// The address that the relay listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a new connection through the relay.
    pub fn connect(&self) -> Result<Wire> {
        Wire::connect(self.address)
    }

    /// The relay's messages about failed connections.
    pub fn stderr(&self) -> String {
        self.process.stderr().text()
    }
}
