//! Requests that are hidden behind another request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use e2e::{ALPHA, BETA, EnvoyBinary, Request, Run, ServerOptions, UpstreamHosts};

/// After an upgrade, Envoy forwards bytes and reads no requests. The explicit listener supports the upgrade CONNECT for
/// its tunnels; a GET must not get it by a header.
fn what_follows_an_upgrade_to_connect_does_not_go_out(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let authority = format!("{ALPHA}:{}", hosts.plain_port());
    for upgrade in ["connect", "CONNECT", "connect-udp", "connect-ip"] {
        let bytes = format!(
            "GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n\
             POST /secret HTTP/1.1\r\nHost: internal.weir.test\r\nContent-Length: 0\r\n\r\n"
        );
        let mut connection = TcpStream::connect(gateway.address()?)?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        connection.write_all(bytes.as_bytes())?;
        let mut answer = [0; 512];
        let length = connection.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 501"), "{upgrade}: {answer}");
        assert!(answer.contains("x-weir-decision: unsupported_request"), "{upgrade}: {answer}");
        drop(connection);
    }
    assert_eq!(gateway.client().get(format!("http://{authority}/"))?.status, 200);
    let served = hosts.nginx.wait_served(1)?;
    assert_eq!(served.len(), 1, "{served:#?}");
    Ok(())
}

/// Envoy describes a connection to the filter in a header; here a client sends such a header with a description of its
/// own.
fn a_forged_connection_changes_nothing(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let (port, plain_port) = (hosts.port(), hosts.plain_port());
    let forged = format!("x-weir-connection: tls/{BETA}/{BETA}:{port}");
    let to_beta = || Request::get(hosts.url(ALPHA, "/")).header(format!("Host: {BETA}:{port}"));
    let requests = [
        to_beta().header(forged.clone()),
        to_beta().header(forged.clone()).header(forged.clone()),
        to_beta().header(forged.clone()).header("Connection: x-weir-connection"),
        to_beta().header(forged.clone()).http2(),
        to_beta().header(forged.clone()).header(forged).http2(),
    ];
    for request in &requests {
        let response = gateway.client().send(request)?;
        let decision = response.header("x-weir-decision");
        assert_eq!((response.status, decision), (421, Some("sni_mismatch")), "{request:?}");
    }
    assert_eq!(hosts.nginx.served()?, []);
    for line in [format!("tls/{ALPHA}/{ALPHA}:{plain_port}"), "passthrough".to_owned(), String::new()] {
        let unencrypted =
            Request::get(hosts.plain_url(ALPHA, "/")).header(format!("x-weir-connection: {line}"));
        gateway.client().send(&unencrypted)?;
    }
    let decisions = gateway.decisions(requests.len() + 3)?;
    assert!(decisions[requests.len()..].iter().all(|decision| decision.scheme.as_deref() == Some("http")));
    assert!(hosts.nginx.served()?.iter().all(|served| served.tls.is_empty()));
    Ok(())
}

on_each_envoy!(what_follows_an_upgrade_to_connect_does_not_go_out, a_forged_connection_changes_nothing);
