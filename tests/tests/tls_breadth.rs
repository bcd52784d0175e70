//! Servers with uncommon keys, curves and ciphers: Weir connects to each one that a current curl connects to, or names
//! the missing property and a remedy.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use e2e::{
    Client, Deadline, EnvoyBinary, OpensslAuthority, OpensslServer, Run, RunningGateway, ServerOptions,
    UpstreamHosts,
};

const HOST: &str = "odd.weir.test";
const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
const P521: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
const ED25519: &[&str] = &["ed25519"];
const RSA: &[&str] = &["rsa:2048"];

/// A server's name, its key and the options of `openssl s_server`.
type Server = (&'static str, &'static [&'static str], &'static [&'static str]);

const REACHED: [Server; 12] = [
    ("curve P-256", P256, &["-groups", "P-256"]),
    ("curve P-384", P256, &["-groups", "P-384"]),
    ("curve P-521", P256, &["-groups", "P-521"]),
    ("curve P-384 over TLS 1.2", P256, &["-groups", "P-384", "-tls1_2"]),
    ("curve P-521 over TLS 1.2", RSA, &["-groups", "P-521", "-tls1_2"]),
    ("key P-384", P384, &[]),
    ("key P-521", P521, &[]),
    ("key P-521 over TLS 1.2", P521, &["-tls1_2"]),
    ("key Ed25519", ED25519, &[]),
    ("key Ed25519 over TLS 1.2", ED25519, &["-tls1_2"]),
    ("RSA-PSS with SHA-512", RSA, &["-sigalgs", "rsa_pss_rsae_sha512"]),
    ("RSA with AES-256-GCM over TLS 1.2", RSA, &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"]),
];

/// Servers without forward secrecy, or with a cipher that padding attacks have broken before.
const NARROW: [Server; 5] = [
    ("TLS 1.1", RSA, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]),
    ("CBC", RSA, &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"]),
    ("CBC with SHA-256", RSA, &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"]),
    ("RSA key exchange", RSA, &["-tls1_2", "-cipher", "AES128-GCM-SHA256"]),
    ("finite-field Diffie-Hellman", RSA, &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"]),
];

fn start(
    envoy: &EnvoyBinary,
    authority: &OpensslAuthority,
    ports: &[u16],
) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    hosts.dns.set(HOST, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    hosts.write_roots(&authority.pem()?)?;
    let policy = format!(
        "rules: [{{id: odd, effect: allow, hosts: [{HOST}], ports: {ports:?}, addresses: [127.0.0.1/32]}}]"
    );
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    Ok((hosts, gateway))
}

fn servers(authority: &OpensslAuthority, kinds: &[Server]) -> Result<Vec<OpensslServer>> {
    let san = format!("DNS:{HOST}");
    kinds.iter().map(|(_, key, options)| authority.serve(&san, key, options)).collect()
}

fn ports(servers: &[OpensslServer]) -> Vec<u16> {
    servers.iter().map(OpensslServer::port).collect()
}

fn url(server: &OpensslServer) -> String {
    format!("https://{HOST}:{}/", server.port())
}

fn every_curve_and_key_that_curl_takes_is_taken(envoy: &EnvoyBinary) -> Result<()> {
    let authority = OpensslAuthority::new()?;
    let servers = servers(&authority, &REACHED)?;
    let (_hosts, gateway) = start(envoy, &authority, &ports(&servers))?;
    let seen: Vec<_> = servers
        .iter()
        .zip(REACHED)
        .map(|(server, (kind, ..))| Ok((kind, gateway.client().get(url(server))?.status)))
        .collect::<Result<_>>()?;
    assert_eq!(seen, REACHED.map(|(kind, ..)| (kind, 200)));
    Ok(())
}

fn a_server_with_old_ciphers_alone_is_told_apart_and_passed_through(envoy: &EnvoyBinary) -> Result<()> {
    let authority = OpensslAuthority::new()?;
    let servers = servers(&authority, &NARROW)?;
    let (hosts, gateway) = start(envoy, &authority, &ports(&servers))?;
    for (server, (kind, ..)) in servers.iter().zip(NARROW) {
        let response = gateway.client().get(url(server))?;
        assert_eq!(response.status, 503, "{kind}: {response:#?}");
        let body = response.json()?;
        assert_eq!(body["reason"], "upstream_unreachable", "{kind}");
        assert_eq!(
            body["cause"],
            "it offers no version, cipher or curve of TLS that Weir accepts",
            "{kind}: {:#?}",
            gateway.decisions(1)?
        );
        assert!(
            body["hint"].as_str().is_some_and(|hint| hint.contains("tls: passthrough")),
            "{kind}: {body:#}"
        );
    }
    gateway.run().write_policy(&format!(
        "rules: [{{id: odd, effect: allow, hosts: [{HOST}], ports: {:?}, addresses: [127.0.0.1/32], tls: passthrough}}]",
        ports(&servers),
    ))?;
    let root = hosts.roots();
    // This machine's curl rejects TLS 1.1 itself.
    for (server, (kind, ..)) in servers.iter().zip(NARROW).skip(1) {
        Deadline::seconds(20).poll_eq(kind, &200, || {
            let client = Client::through(gateway.proxy()).trusting(&root);
            Ok(client.get(url(server))?.status)
        })?;
    }
    Ok(())
}

/// RFC 9525, section 6.3, allows a wildcard only as a whole leftmost label. Envoy also accepts one within that label,
/// which is a known limit: no public CA may sign such a name.
fn a_wildcard_is_one_label_at_most(envoy: &EnvoyBinary) -> Result<()> {
    const NAMES: [(&str, u16); 7] = [
        ("*.weir.test", 200),
        ("od*.weir.test", 200),
        ("*d.weir.test", 200),
        ("alpha*.weir.test", 503),
        ("odd.*.test", 503),
        ("*.test", 503),
        ("*", 503),
    ];
    let authority = OpensslAuthority::new()?;
    let servers = NAMES.map(|(name, _)| authority.serve(&format!("DNS:{name}"), P256, &[]));
    let servers = servers.into_iter().collect::<Result<Vec<_>>>()?;
    let (_hosts, gateway) = start(envoy, &authority, &ports(&servers))?;
    let seen: Vec<_> = servers
        .iter()
        .zip(NAMES)
        .map(|(server, (name, _))| Ok((name, gateway.client().get(url(server))?.status)))
        .collect::<Result<_>>()?;
    assert_eq!(seen, NAMES);
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_wildcard_is_one_label_at_most,
    every_curve_and_key_that_curl_takes_is_taken,
    a_server_with_old_ciphers_alone_is_told_apart_and_passed_through,
);
