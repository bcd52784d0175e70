//! The operator is told of a client that does not trust the certificate. Such a client sends no request.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use e2e::{
    ALPHA, BETA, Deadline, EnvoyBinary, Process, Run, RunningGateway, ServerOptions, UpstreamHosts,
    require_program,
};
use serde_json::Value;

/// Completes a handshake without verifying the certificate, and closes the connection, as Node.js does with a certificate
/// that it does not trust.
const CLOSES: &str = r#"
import socket, ssl, sys
proxy, port, host = sys.argv[1:]
client = socket.create_connection((proxy, int(port)))
client.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
assert b" 200 " in client.recv(4096)
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.wrap_socket(client, server_hostname=host).close()
"#;

/// Opens a tunnel, and sends nothing, or no TLS.
const SCANS: &str = r#"
import socket, sys
proxy, port, host = sys.argv[1:]
for first in (b"", b"\x16\x03\x01\x00\x05"):
    client = socket.create_connection((proxy, int(port)))
    client.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    assert b" 200 " in client.recv(4096)
    client.sendall(first)
    client.close()
"#;

/// curl's exit code for a certificate that it cannot verify.
const CANNOT_VERIFY: i32 = 60;

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = format!("{}\nallowed_domains: [{ALPHA}, {BETA}]\n", hosts.policy());
    let run = Run::new(envoy, &hosts, &policy)?;
    Ok((hosts, run))
}

fn python(script: &str, proxy: SocketAddr, host: &str) -> Result<()> {
    let mut command = Process::command(require_program("python3")?);
    let arguments = [proxy.ip().to_string(), proxy.port().to_string(), host.to_owned()];
    let output = command.args(["-c", script]).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Runs a curl that trusts the system's roots alone, with TLS of this version.
fn stranger(gateway: &RunningGateway, url: &str, version: &str) -> Result<()> {
    let mut command = Process::command(require_program("curl")?);
    let options = ["--disable", "--silent", "--proxy", gateway.proxy(), "--tls-max", version, url];
    let status = command.env_clear().args(options).status()?;
    ensure!(status.code() == Some(CANNOT_VERIFY), "curl: {status}");
    Ok(())
}

/// The hosts and alerts of the lines on refused certificates so far.
fn told(gateway: &RunningGateway) -> Vec<(String, Option<String>)> {
    let stdout = gateway.stdout();
    let lines = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let refused = lines.filter(|line| line["phase"] == "certificate_refused");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    refused.filter_map(|line| Some((text(&line["host"])?, text(&line["alert"])))).collect()
}

/// Waits for these lines and no others.
fn wait_told(gateway: &RunningGateway, expected: &[(&str, Option<&str>)]) -> Result<()> {
    let owned = |(host, alert): &(&str, Option<&str>)| ((*host).to_owned(), alert.map(str::to_owned));
    let expected: Vec<_> = expected.iter().map(owned).collect();
    Deadline::seconds(10).poll_eq("lines on refused certificates", &expected, || Ok(told(gateway)))
}

fn a_client_that_refuses_the_certificate_is_told_once_and_is_no_decision(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy)?;
    let gateway = run.start()?;
    let (alpha, beta) = (hosts.url(ALPHA, "/"), hosts.url(BETA, "/"));
    stranger(&gateway, &alpha, "1.2")?;
    wait_told(&gateway, &[(ALPHA, Some("unknown_ca"))])?;
    stranger(&gateway, &alpha, "1.2")?;
    stranger(&gateway, &alpha, "1.3")?;
    stranger(&gateway, &beta, "1.3")?;
    let lines = Deadline::seconds(10).poll("a line for beta", || {
        let told = told(&gateway);
        Ok(told.iter().any(|(host, _)| host == BETA).then_some(told))
    })?;
    // OpenSSL 3.0 does not encrypt its alert over TLS 1.3.
    let [(_, _), (_, Some(alert))] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(["unreadable", "unknown_ca"].contains(&alert.as_str()), "{lines:?}");
    assert_eq!(gateway.client().get(alpha)?.status, 200);
    gateway.only_decision()?;
    Ok(())
}

fn a_client_that_closes_after_the_handshake_is_told_unless_requests_come(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy)?;
    let gateway = run.start()?;
    let proxy = gateway.address()?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    python(SCANS, proxy, BETA)?;
    python(CLOSES, proxy, ALPHA)?;
    python(CLOSES, proxy, BETA)?;
    // The connection to alpha ended first.
    wait_told(&gateway, &[(BETA, None)])
}

fn beside_a_command_the_line_names_the_variable(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy)?;
    let curl = format!("curl --disable -sS -o /dev/null {}", hosts.url(ALPHA, "/"));
    let script = format!("env -u CURL_CA_BUNDLE -u SSL_CERT_FILE {curl}; {curl}");
    let output = run.output(["sh", "-c", &script])?;
    let said = String::from_utf8_lossy(&output.stderr);
    let told = format!("a client refused Weir's certificate (`{ALPHA}`; ");
    let lines: Vec<_> = said.lines().filter(|line| line.contains("client refused")).collect();
    let [line] = lines.as_slice() else { panic!("{said}") };
    assert!(line.contains(&told), "{said}");
    assert!(line.contains("CURL_CA_BUNDLE") && line.contains("docs/running.md"), "{said}");
    assert!(!said.contains("no line") && !said.contains("denied"), "{said}");
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_client_that_refuses_the_certificate_is_told_once_and_is_no_decision,
    a_client_that_closes_after_the_handshake_is_told_unless_requests_come,
    beside_a_command_the_line_names_the_variable,
);
