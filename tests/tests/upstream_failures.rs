//! Upstreams that Envoy cannot verify, or that break connections: the client and the decision log get the cause, and
//! other hosts continue to work.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Result;
use e2e::{
    ALPHA, BETA, CertificateAuthority, Deadline, EnvoyBinary, Front, IMPOSTOR, ORIGIN, Origin, Run,
    RunningGateway, ServerCertificate, ServerOptions, Site, UpstreamHosts, bundle,
};

const EXPIRED: &str = "expired.weir.test";
const SELF_SIGNED: &str = "self-signed.weir.test";
const UNKNOWN_ISSUER: &str = "unknown-issuer.weir.test";
const BROKEN_ANSWER: &str = "its answer is incomplete or not valid HTTP, or its headers are too large";

/// Writes the hosts' policy and a rule for these names on any of these ports.
fn start(
    envoy: &EnvoyBinary,
    hosts: &UpstreamHosts,
    names: &[&str],
    ports: &[u16],
) -> Result<RunningGateway> {
    let more = format!(
        "  - id: more\n    effect: allow\n    hosts: [{}]\n    ports: {ports:?}\n    addresses: [127.0.0.1/32]\n",
        names.join(", "),
    );
    Run::new(envoy, hosts, &(hosts.policy() + &more))?.start()
}

/// Requests each URL. The answer is 503 (or 502), and this reason and cause stand in the body and in the decision log.
/// Alpha answers before and after.
fn assert_failures(
    hosts: &UpstreamHosts,
    gateway: &RunningGateway,
    reason: &str,
    expected: &[(String, &str)],
) -> Result<()> {
    let alpha = hosts.url(ALPHA, "/");
    assert_eq!(gateway.client().get(&alpha)?.status, 200);
    gateway.decisions(1)?;
    for (index, (url, cause)) in expected.iter().enumerate() {
        let response = gateway.client().get(url)?;
        assert!([502, 503].contains(&response.status), "{url}: {response:#?}");
        assert_eq!(response.header("x-weir-decision"), Some(reason), "{url}");
        let body = response.json()?;
        assert_eq!(
            (&body["error"]["type"], &body["reason"], &body["cause"]),
            (&"upstream_failure".into(), &reason.into(), &(*cause).into()),
            "{url}"
        );
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains(cause)), "{body:#}");
        let proxy_status = response.header("proxy-status").unwrap_or_default();
        assert!(proxy_status.ends_with(&format!("; details=\"{reason}\"")), "{proxy_status}");
        let decision = &gateway.decisions(index + 2)?[index + 1];
        assert_eq!(
            (decision.effect.as_str(), decision.reason.as_str(), decision.cause.as_deref()),
            ("allow", reason, Some(*cause)),
            "{url}"
        );
    }
    assert_eq!(gateway.client().get(&alpha)?.status, 200);
    Ok(())
}

fn a_certificate_that_does_not_verify_is_told_with_its_fault(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start_with(ServerOptions::default(), |authority| {
        let unknown = CertificateAuthority::new("Unknown Root")?;
        Ok(vec![
            Site::new(EXPIRED, authority.issue_expired(&[EXPIRED])?),
            Site::new(SELF_SIGNED, ServerCertificate::self_signed(&[SELF_SIGNED])?),
            Site::new(UNKNOWN_ISSUER, unknown.issue(&[UNKNOWN_ISSUER])?),
        ])
    })?;
    let gateway = start(envoy, &hosts, &[EXPIRED, SELF_SIGNED, UNKNOWN_ISSUER], &[hosts.port()])?;
    let causes = [
        (EXPIRED, "its certificate has expired"),
        (SELF_SIGNED, "no trusted root signed its certificate"),
        (UNKNOWN_ISSUER, "no trusted root signed its certificate"),
        (IMPOSTOR, "its certificate is for other names"),
    ];
    let expected = causes.map(|(name, cause)| {
        // Envoy 1.36 does not distinguish them.
        let cause = if envoy.version.as_str() < "1.37" { "its certificate is not valid" } else { cause };
        (hosts.url(name, "/"), cause)
    });
    assert_failures(&hosts, &gateway, "certificate_not_verified", &expected)
}

fn an_upstream_that_breaks_off_is_told_with_the_moment(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let in_handshake = HangUp::start()?;
    let origin = Origin::start(&hosts, Front::Http1, |head, wire| {
        match head.start.split(' ').nth(1) {
            Some("/in-the-headers") => wire.write("HTTP/1.1 200 OK\r\ncontent-len")?,
            Some("/no-http") => wire.write("SSH-2.0-OpenSSH_9.2\r\n")?,
            _ => {}
        }
        wire.end()
    })?;
    let refused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let ports = [in_handshake.address.port(), origin.port(), refused];
    let gateway = start(envoy, &hosts, &[ORIGIN], &ports)?;
    let expected = [
        (format!("https://{ORIGIN}:{}/", in_handshake.address.port()), "the TLS handshake with it failed"),
        (format!("https://{ORIGIN}:{refused}/"), "it refused the connection"),
        (origin.url("/before-the-headers"), "it closed the connection before its answer was whole"),
        (origin.url("/in-the-headers"), BROKEN_ANSWER),
        (origin.url("/no-http"), BROKEN_ANSWER),
    ];
    assert_failures(&hosts, &gateway, "upstream_unreachable", &expected)
}

fn an_answer_that_breaks_off_is_in_the_decision_log(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Http1, |_, wire| {
        wire.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")?;
        wire.end()
    })?;
    let gateway = start(envoy, &hosts, &[ORIGIN], &[origin.port()])?;
    let response = gateway.client().get(origin.url("/"))?;
    assert_eq!((response.status, response.content.as_str()), (200, "half"));
    assert_eq!(response.exit_code, 18, "curl must not take a part for the whole: {}", response.error);
    let decision = gateway.only_decision()?;
    assert_eq!(
        (decision.status, decision.reason.as_str(), decision.cause.as_deref()),
        (200, "upstream_unreachable", Some(BROKEN_ANSWER))
    );
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    Ok(())
}

fn another_certificate_of_a_host_is_taken_at_once(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = start(envoy, &hosts, &["none.weir.test"], &[hosts.port()])?;
    let beta = hosts.url(BETA, "/");
    assert_eq!(gateway.client().get(&beta)?.status, 200);
    hosts.nginx.present(BETA, &hosts.alpha_authority.issue(&[BETA, "rotated.weir.test"])?)?;
    assert_eq!(gateway.client().get(&beta)?.status, 200);
    if envoy.version.as_str() >= "1.37" {
        assert_eq!(gateway.decisions(2)?[1].upstream_names, [BETA, "rotated.weir.test"]);
    }
    // Envoy notices a certificate for another name as soon.
    hosts.nginx.present(BETA, &hosts.alpha_authority.issue(&["rotated.weir.test"])?)?;
    assert_eq!(gateway.client().get(&beta)?.header("x-weir-decision"), Some("certificate_not_verified"));
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    Ok(())
}

fn a_root_that_is_taken_from_the_file_counts_no_more(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = start(envoy, &hosts, &["none.weir.test"], &[hosts.port()])?;
    let (alpha, beta) = (hosts.url(ALPHA, "/"), hosts.url(BETA, "/"));
    let status_of_beta = || {
        assert_eq!(gateway.client().get(&alpha)?.status, 200, "alpha's root was always there");
        let response = gateway.client().get(&beta)?;
        Ok((response.status, response.header("x-weir-decision").map(str::to_owned)))
    };
    // This connection stays open, and ends with the root.
    assert_eq!(status_of_beta()?, (200, None));
    hosts.write_roots(hosts.alpha_authority.pem())?;
    let refused = (503, Some("certificate_not_verified".to_owned()));
    Deadline::seconds(15).poll_eq("beta without its root", &refused, status_of_beta)?;

    hosts.write_roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")?;
    Deadline::seconds(15).poll("word of the bad file", || {
        Ok(gateway.stderr().contains("the last good roots of upstreams stay in force").then_some(()))
    })?;
    assert_eq!(status_of_beta()?, refused);

    hosts.write_roots(&bundle(&[&hosts.alpha_authority, &hosts.beta_authority]))?;
    Deadline::seconds(15).poll_eq("beta with its root again", &(200, None), status_of_beta)
}

/// A server that reads the beginning of a ClientHello and closes the connection.
struct HangUp {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HangUp {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let closed = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&closed);
        let thread = thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                stream.read_exact(&mut [0; 16]).ok();
            }
        });
        Ok(Self { address, closed, thread: Some(thread) })
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // A connection wakes the thread. If none can be opened, a join would wait for ever.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().ok();
        }
    }
}

on_oldest_and_newest_envoy!(
    a_certificate_that_does_not_verify_is_told_with_its_fault,
    an_upstream_that_breaks_off_is_told_with_the_moment,
    an_answer_that_breaks_off_is_in_the_decision_log,
    another_certificate_of_a_host_is_taken_at_once,
    a_root_that_is_taken_from_the_file_counts_no_more,
);
