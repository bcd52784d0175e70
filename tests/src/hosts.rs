//! The main job's fixture: hosts that share one address and port and present certificates of different roots.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use crate::{CertificateAuthority, NameServer, Nginx, ServerOptions, Site, bundle};

/// The first host.
pub const ALPHA: &str = "alpha.weir.test";
/// The second host, whose certificate another root signed.
pub const BETA: &str = "beta.weir.test";
/// A host that presents beta's certificate.
pub const IMPOSTOR: &str = "impostor.weir.test";
/// A host that responds, but that no policy here allows.
pub const UNLISTED: &str = "unlisted.weir.test";
/// An allowed host on loopback whose rule lists no address. The tests change the address that it resolves to.
pub const INWARD: &str = "inward.weir.test";

/// The hosts, the name server that resolves them, and the roots of their certificates.
#[derive(Debug)]
pub struct UpstreamHosts {
    /// The server of all hosts.
    pub nginx: Nginx,
    /// Resolves all hosts to 127.0.0.1.
    pub dns: NameServer,
    /// The root that signed the certificates of alpha, the unlisted host and the inward host.
    pub alpha_authority: CertificateAuthority,
    /// The root that signed beta's certificate.
    pub beta_authority: CertificateAuthority,
    directory: TempDir,
}

impl UpstreamHosts {
    /// Starts all hosts.
    pub fn start(options: ServerOptions) -> Result<Self> {
        Self::start_with(options, |_| Ok(Vec::new()))
    }

    /// Starts all hosts and some more, whose certificates alpha's root may sign.
    pub fn start_with(
        options: ServerOptions,
        more: impl FnOnce(&CertificateAuthority) -> Result<Vec<Site>>,
    ) -> Result<Self> {
        let alpha_authority = CertificateAuthority::new("Alpha Root")?;
        let beta_authority = CertificateAuthority::new("Beta Root")?;
        let beta = beta_authority.issue(&[BETA])?;
        let mut sites = vec![
            Site::new(ALPHA, alpha_authority.issue(&[ALPHA])?),
            Site::new(BETA, beta.clone()),
            Site::new(IMPOSTOR, beta),
            Site::new(UNLISTED, alpha_authority.issue(&[UNLISTED])?),
            Site::new(INWARD, alpha_authority.issue(&[INWARD])?),
        ];
        sites.extend(more(&alpha_authority)?);
        let nginx = Nginx::start(&sites, options)?;
        let here = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let dns = NameServer::start(sites.into_iter().map(|site| (site.name, here.clone())))?;
        let directory = TempDir::new()?;
        let hosts = Self { nginx, dns, alpha_authority, beta_authority, directory };
        hosts.write_roots(&bundle(&[&hosts.alpha_authority, &hosts.beta_authority]))?;
        Ok(hosts)
    }

    /// Replaces the content of the roots file.
    pub fn write_roots(&self, roots: &str) -> Result<()> {
        Ok(fs::write(self.roots(), roots)?)
    }

    /// The path of the file with both roots.
    pub fn roots(&self) -> PathBuf {
        self.directory.path().join("roots.pem")
    }

    /// The port of the TLS hosts.
    pub fn port(&self) -> u16 {
        self.nginx.address().port()
    }

    /// The port of these hosts over plain HTTP.
    pub fn plain_port(&self) -> u16 {
        self.nginx.plain_address().port()
    }

    /// The authority `HOST:PORT`.
    pub fn authority(&self, host: &str) -> String {
        format!("{host}:{}", self.port())
    }

    /// The URL `https://HOST:PORT/PATH`.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port())
    }

    /// The URL `http://HOST:PORT/PATH`.
    pub fn plain_url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.plain_port())
    }

    /// The authority `HOST:PORT` of the plain server.
    pub fn plain_authority(&self, host: &str) -> String {
        format!("{host}:{}", self.plain_port())
    }

    /// A policy document for these hosts. It allows reads of alpha, and any method of beta on `/` and below
    /// `/public/`.
    pub fn policy(&self) -> String {
        let (port, plain_port) = (self.port(), self.plain_port());
        format!(
            r#"rules:
  - id: alpha-read
    effect: allow
    hosts: [{ALPHA}]
    ports: [{port}]
    methods: [GET, HEAD]
    addresses: [127.0.0.1/32]
  - id: beta-public
    effect: allow
    hosts: [{BETA}]
    ports: [{port}]
    paths: ["/", "/public/*"]
    addresses: [127.0.0.1/32]
  - id: impostor
    effect: allow
    hosts: [{IMPOSTOR}]
    ports: [{port}]
    addresses: [127.0.0.1/32]
  - id: inward
    effect: allow
    hosts: [{INWARD}]
    ports: [{port}]
  - id: alpha-plain
    effect: allow
    hosts: [{ALPHA}]
    ports: [{plain_port}]
    schemes: [http]
    methods: [GET, HEAD]
    addresses: [127.0.0.1/32]
"#
        )
    }
}
