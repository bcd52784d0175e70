//! Requests that are hidden behind another one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use e2e::{ALPHA, EnvoyBinary, Run, ServerOptions, UpstreamHosts};

/// An upgrade hands the connection over, and what follows is no request to Envoy any more. The explicit listener knows
/// the upgrade CONNECT for its tunnels; a GET that asks for it by header must not have it.
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

on_each_envoy!(what_follows_an_upgrade_to_connect_does_not_go_out);
