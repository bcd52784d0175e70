//! Real TLS servers of one kind of key, curve or cipher each: `openssl s_server`, with certificates that `openssl` made.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{Deadline, Process, require_program};

/// A root, and a folder for the certificates that it signs.
#[derive(Debug)]
pub struct OpensslAuthority {
    directory: TempDir,
}

/// A running server. Every request is answered with 200 and a page about its TLS connection.
#[derive(Debug)]
pub struct OpensslServer {
    _process: Process,
    address: SocketAddr,
}

impl OpensslAuthority {
    /// Makes the root.
    pub fn new() -> Result<Self> {
        let authority = Self { directory: TempDir::new()? };
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=OpenSSL Root",
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
        ])?;
        Ok(authority)
    }

    /// The root's certificate, PEM.
    pub fn pem(&self) -> Result<String> {
        Ok(fs::read_to_string(self.file("root.pem"))?)
    }

    /// Starts a server whose certificate is for `san`, such as `DNS:a.example`. `key` are arguments of `openssl req`
    /// that choose its key, and `options` arguments of `openssl s_server`.
    pub fn serve(&self, san: &str, key: &[&str], options: &[&str]) -> Result<OpensslServer> {
        let extension = format!("subjectAltName={san}");
        let request =
            ["req", "-x509", "-CA", "root.pem", "-CAkey", "root.key", "-nodes", "-subj", "/CN=server"];
        let files = ["-addext", &extension, "-addext", "basicConstraints=critical,CA:FALSE"];
        let out = ["-keyout", "server.key", "-out", "server.pem"];
        self.openssl(&[&request[..], &files[..], &["-newkey"], key, &out[..]].concat())?;
        let mut command = Process::command(require_program("openssl")?);
        let command = command.current_dir(self.directory.path());
        let command = command.args(["s_server", "-accept", "127.0.0.1:0", "-www"]);
        let command = command.args(["-cert", "server.pem", "-key", "server.key"]).args(options);
        let process = Process::start("openssl", command.stdout(std::process::Stdio::piped()))?;
        let port = process
            .stdout()
            .wait(Deadline::seconds(20), "the port of openssl", |lines| {
                lines.iter().find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok())
            })
            .with_context(|| format!("stderr of openssl:\n{}", process.stderr().text()))?;
        Ok(OpensslServer { _process: process, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        let folder: &Path = self.directory.path();
        let mut command = Process::command(require_program("openssl")?);
        let output = command.args(arguments).current_dir(folder).output()?;
        ensure!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl OpensslServer {
    /// The port that the server listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}
