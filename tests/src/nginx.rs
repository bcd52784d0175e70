//! A real nginx with several TLS hosts on one address and port, each with a certificate of its own.
//!
//! nginx uses a shared session cache, and so resumes a session under any of its names. That is the server behaviour
//! that shows the upstream TLS fault.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Deadline, Process, ProcessId, ServerCertificate, require_program};

/// One TLS host: its name and its certificate.
#[derive(Clone, Debug)]
pub struct Site {
    /// The `server_name`.
    pub name: String,
    /// The certificate for clients that request this name.
    pub certificate: ServerCertificate,
    /// The root, in PEM, that must have signed the client's certificate. The response greets the certificate's
    /// subject. Without a root, clients need no certificate.
    pub clients: Option<String>,
}

impl Site {
    /// Creates a host that accepts every client.
    pub fn new(name: &str, certificate: ServerCertificate) -> Self {
        Self { name: name.to_owned(), certificate, clients: None }
    }
}

/// The TLS versions that the server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 alone.
    Only12,
    /// TLS 1.3 alone.
    Only13,
    /// Both.
    Both,
}

/// The server's protocol options. The default is TLS 1.2 and 1.3, HTTP/1.1 only, with connections kept open.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// The accepted TLS versions.
    pub tls: TlsVersions,
    /// Offers h2 by ALPN beside http/1.1.
    pub http2: bool,
    /// Closes each connection after one request, so that every request makes a TLS handshake.
    pub connection_per_request: bool,
    /// The number of requests after which a connection is closed.
    pub requests_per_connection: u32,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tls: TlsVersions::Both,
            http2: false,
            connection_per_request: false,
            requests_per_connection: 10_000,
        }
    }
}

/// A running nginx on two free ports of 127.0.0.1: one for TLS, one for plain HTTP.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    directory: TempDir,
    address: SocketAddr,
    plain_address: SocketAddr,
}

/// One line of nginx's access log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedRequest {
    /// The server name of the TLS handshake; empty without one.
    pub sni: String,
    /// `r` if the TLS session was resumed, `.` if not; empty without TLS.
    pub resumed: String,
    /// The request's host, without its port, in lower case.
    pub host: String,
    /// The request line.
    pub request: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// `TLSv1.2` or `TLSv1.3`; empty without TLS.
    pub tls: String,
}

impl ServedRequest {
    /// Returns whether the connection resumed a TLS session.
    pub fn is_resumed(&self) -> bool {
        self.resumed == "r"
    }
}

impl Nginx {
    /// Starts nginx with these hosts. The first one serves names of no host.
    pub fn start(sites: &[Site], options: ServerOptions) -> Result<Self> {
        let program = require_program("nginx")?;
        let directory = TempDir::new()?;
        // nginx cannot listen on port 0. So it inherits sockets that are already bound, by the mechanism of its own
        // upgrades.
        let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, plain_address) = (tls.local_addr()?, plain.local_addr()?);
        fs::create_dir(directory.path().join("files"))?;
        for site in sites {
            write_certificate(&directory, &site.name, &site.certificate)?;
            if let Some(root) = &site.clients {
                fs::write(directory.path().join(format!("{}.clients", site.name)), root)?;
            }
        }
        fs::write(directory.path().join("access.jsonl"), "")?;
        let configuration = directory.path().join("nginx.conf");
        fs::write(&configuration, configure(sites, options, address, plain_address)?)?;
        let process = Process::start(
            "nginx",
            Process::command(program)
                .arg("-p")
                .arg(directory.path())
                .arg("-c")
                .arg(&configuration)
                .args(["-e", "stderr"])
                .env("NGINX", "0;1;")
                .stdin(OwnedFd::from(tls))
                .stdout(OwnedFd::from(plain)),
        )?;
        let mut nginx = Self { process, directory, address, plain_address };
        nginx.wait_until_ready()?;
        Ok(nginx)
    }

    /// Presents another certificate for a host, on all connections from now on.
    pub fn present(&self, name: &str, certificate: &ServerCertificate) -> Result<()> {
        write_certificate(&self.directory, name, certificate)?;
        let before = self.id().descendants()?;
        self.process.signal(Signal::HUP)?;
        Deadline::seconds(10).poll("new workers of nginx", || {
            let old_have_ended = before.iter().all(|worker| !worker.is_running());
            Ok((old_have_ended && !self.id().descendants()?.is_empty()).then_some(()))
        })
    }

    /// nginx's master process.
    pub fn id(&self) -> ProcessId {
        self.process.id()
    }

    /// The address of the TLS hosts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of these hosts over plain HTTP.
    pub fn plain_address(&self) -> SocketAddr {
        self.plain_address
    }

    /// The folder that every host serves at `/files/`.
    pub fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// The requests served so far, in the order in which they ended.
    pub fn served(&self) -> Result<Vec<ServedRequest>> {
        let text = fs::read_to_string(self.directory.path().join("access.jsonl"))?;
        // The last piece is empty, or a line that nginx is still writing.
        let (complete, _) = text.rsplit_once('\n').unwrap_or_default();
        complete
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("access log line `{line}`")))
            .collect()
    }

    /// Waits until `count` requests were served, and returns them. More than `count` is an error.
    pub fn wait_served(&self, count: usize) -> Result<Vec<ServedRequest>> {
        let what = format!("{count} requests in the access log of nginx");
        let served = Deadline::seconds(10).poll(&what, || {
            let served = self.served()?;
            Ok((served.len() >= count).then_some(served))
        })?;
        ensure!(served.len() == count, "expected {count} requests at nginx, got {served:#?}");
        Ok(served)
    }

    /// Waits for the pid file, which nginx's master writes after it has accepted the configuration and taken over the
    /// sockets.
    fn wait_until_ready(&mut self) -> Result<()> {
        let pid = self.directory.path().join("nginx.pid");
        let process = &mut self.process;
        Deadline::seconds(20).poll("start of nginx", || {
            if let Some(status) = process.ended()? {
                anyhow::bail!("nginx ended with {status}:\n{}", process.stderr().text());
            }
            Ok(pid.exists().then_some(()))
        })
    }
}

fn write_certificate(directory: &TempDir, name: &str, certificate: &ServerCertificate) -> Result<()> {
    fs::write(directory.path().join(format!("{name}.crt")), &certificate.chain_pem)?;
    Ok(fs::write(directory.path().join(format!("{name}.key")), &certificate.key_pem)?)
}

fn configure(
    sites: &[Site],
    options: ServerOptions,
    address: SocketAddr,
    plain_address: SocketAddr,
) -> Result<String> {
    let protocols = match options.tls {
        TlsVersions::Only12 => "TLSv1.2",
        TlsVersions::Only13 => "TLSv1.3",
        TlsVersions::Both => "TLSv1.2 TLSv1.3",
    };
    let http2 = if options.http2 { " http2" } else { "" };
    let requests = if options.connection_per_request { 1 } else { options.requests_per_connection };
    // As root, nginx's workers would run as `nobody`, who may not read the temporary folder. Other users' nginx
    // ignores the line.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    let mut text = format!(
        r#"
daemon off; worker_processes 1; pid nginx.pid; {user}
events {{ worker_connections 512; }}
http {{
  log_format weir escape=json '{{"sni":"$ssl_server_name","resumed":"$ssl_session_reused","host":"$host",'
    '"request":"$request","protocol":"$server_protocol","tls":"$ssl_protocol"}}';
  access_log access.jsonl weir;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  default_type text/plain;
  keepalive_requests {requests};
  ssl_protocols {protocols};
  ssl_session_cache shared:SSL:1m;
  ssl_session_tickets on;
"#
    );
    for site in sites {
        let name = &site.name;
        let (clients, guest) = match site.clients {
            Some(_) => (
                format!("ssl_client_certificate {name}.clients; ssl_verify_client on;"),
                " to $ssl_client_s_dn",
            ),
            None => (String::new(), ""),
        };
        write!(
            text,
            r#"
  server {{
    listen {address} ssl{http2};
    listen {plain_address};
    server_name {name};
    ssl_certificate {name}.crt;
    ssl_certificate_key {name}.key;
    {clients}
    location / {{ return 200 "{name} says hello{guest}\n"; }}
    location /files/ {{ alias files/; }}
  }}
"#
        )?;
    }
    text.push_str("}\n");
    Ok(text)
}
