//! CONNECT: the authorities that the filter admits, and the bytes that may be inside a tunnel.

use anyhow::{Result, ensure};
use e2e::{
    ALPHA, BETA, EnvoyBinary, Http2, Request, Run, RunningGateway, ServerOptions, TlsRelay, UpstreamHosts,
    Wire, weir_command,
};

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    Ok((hosts, gateway))
}

fn connect(gateway: &RunningGateway, authority: &str) -> Result<Wire> {
    let mut wire = Wire::connect(gateway.address()?)?;
    wire.write(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))?;
    let head = wire.expect_head()?;
    ensure!(head.start.starts_with("HTTP/1.1 200"), "{authority}: {head:#?}");
    Ok(wire)
}

fn connect_over_http_2(gateway: &RunningGateway, authority: &str) -> Result<Http2> {
    let mut http2 = Http2::open(Wire::connect(gateway.address()?)?)?;
    http2.begin(&[(":method", b"CONNECT"), (":authority", authority.as_bytes())])?;
    Ok(http2)
}

/// Checks that `weir explain` gives the same reason.
fn a_host_that_no_rule_names_has_that_reason_at_the_connect(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    for policy in ["rules: []".to_owned(), hosts.policy()] {
        let run = Run::new(envoy, &hosts, &policy)?;
        let explained = weir_command()?
            .args(["explain", "--json", "GET", "https://unnamed.weir.test/", "--policy"])
            .arg(run.policy())
            .output()?;
        let explained: serde_json::Value = serde_json::from_slice(&explained.stdout)?;
        assert_eq!(explained["reason"], "host_not_allowed");
        let gateway = run.start()?;
        let mut wire = Wire::connect(gateway.address()?)?;
        wire.write("CONNECT unnamed.weir.test:443 HTTP/1.1\r\nhost: unnamed.weir.test:443\r\n\r\n")?;
        let head = wire.expect_head()?;
        assert_eq!(head.header("x-weir-decision"), Some("host_not_allowed"), "{policy}: {head:#?}");
    }
    Ok(())
}

/// The test runs over both versions of HTTP to the proxy.
fn a_port_that_no_rule_names_is_refused_at_the_connect(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let targets = [format!("{ALPHA}:22"), format!("{ALPHA}:15000"), format!("{ALPHA}:65535")];
    for (index, target) in targets.iter().enumerate() {
        let mut wire = Wire::connect(gateway.address()?)?;
        wire.write(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n"))?;
        let head = wire.expect_head()?;
        assert!(head.start.starts_with("HTTP/1.1 403"), "{target}: {head:#?}");
        assert_eq!(head.header("x-weir-decision"), Some("port_not_allowed"), "{target}");
        let content = connect_over_http_2(&gateway, target)?.read_content();
        let content = String::from_utf8_lossy(&content);
        assert!(content.contains("\"port_not_allowed\""), "{target}: {content}");
        assert!(gateway.decisions(2 * index + 2)?.iter().all(|decision| decision.effect == "deny"));
    }
    assert_eq!(hosts.nginx.served()?, []);
    assert_eq!(hosts.dns.queries(ALPHA), 0);
    Ok(())
}

/// Bytes that are neither TLS nor HTTP, and bytes that only begin like one of them.
fn what_is_neither_tls_nor_http_does_not_go_out(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let port = hosts.plain_port();
    for (what, bytes) in [
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".as_slice()),
        ("SMTP", b"EHLO weir.test\r\n"),
        ("zeros", &[0; 100]),
        ("a record of TLS that is no hello", b"\x16\x03\x01\x00\x05hello"),
        ("a hello of another protocol", b"\x16\x03\x01\xff\xffhello world, this is no hello"),
        ("SSL 2.0", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
        ("SOCKS", b"\x05\x01\x00"),
    ] {
        let mut wire = connect(&gateway, &format!("{ALPHA}:{port}"))?;
        wire.write(bytes)?;
        wire.end()?;
        let answer = wire.read_to_end().unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        // The answer is a refusal by Weir, a TLS alert, or nothing.
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with('\u{15}');
        assert!(refused, "{what}: {answer}");
        assert!(!answer.contains("says hello"), "{what}: {answer}");
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

/// Of the hosts on one port, only alpha may be used over plain HTTP. The test covers both versions of HTTP to the proxy
/// and both inside.
fn plain_http_in_a_tunnel_is_judged_like_any(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let rule = |host: &str, scheme: &str| {
        let port = hosts.plain_port();
        format!(
            "  - {{id: {scheme}, effect: allow, hosts: [{host}], schemes: [{scheme}], ports: [{port}], addresses: [127.0.0.1/32]}}\n"
        )
    };
    let policy = format!("rules:\n{}{}", rule(ALPHA, "http"), rule(BETA, "https"));
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    for (host, status, reason) in [(ALPHA, "200", "says hello"), (BETA, "403", "scheme_not_allowed")] {
        let authority = hosts.plain_authority(host);
        let request = format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        let mut inside_1 = connect(&gateway, &authority)?;
        inside_1.write(&request)?;
        let head = inside_1.expect_head()?;
        assert!(head.start.starts_with(&format!("HTTP/1.1 {status}")), "{head:#?}");
        assert_eq!(head.header("x-weir-decision"), (status != "200").then_some(reason));

        let mut around_2 = connect_over_http_2(&gateway, &authority)?;
        around_2.write(request.as_bytes())?;
        let answer = String::from_utf8(around_2.read(12)?)?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");

        // HTTP/2 without TLS, with prior knowledge (RFC 9113, 3.3).
        let mut inside_2 = Http2::open(connect(&gateway, &authority)?)?;
        inside_2.begin(&[
            (":method", b"GET"),
            (":scheme", b"http"),
            (":authority", authority.as_bytes()),
            (":path", b"/"),
        ])?;
        inside_2.end()?;
        let content = String::from_utf8(inside_2.read_content())?;
        assert!(content.contains(reason), "{content}");
    }
    // The host differs from that of the CONNECT.
    let mut wire = connect(&gateway, &hosts.plain_authority(BETA))?;
    wire.write(format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", hosts.plain_authority(ALPHA)))?;
    assert_eq!(wire.expect_head()?.header("x-weir-decision"), Some("tunnel_mismatch"));
    Ok(())
}

/// CONNECT, server name and host are each alpha or beta, in both versions of HTTP inside.
fn three_names_that_differ_are_misdirected(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let mut count = 0;
    for tunnel in [ALPHA, BETA] {
        for server_name in [ALPHA, BETA] {
            for host in [ALPHA, BETA] {
                let expected = if server_name != host {
                    Some("sni_mismatch")
                } else if tunnel != host {
                    Some("tunnel_mismatch")
                } else {
                    None
                };
                let client = gateway.client().connecting_to(hosts.authority(tunnel));
                let request = Request::get(hosts.url(server_name, "/"))
                    .header(format!("Host: {}", hosts.authority(host)));
                for request in [request.clone(), request.http2()] {
                    let response = client.send(&request)?;
                    let what = format!("{tunnel}, {server_name}, {host}: {response:#?}");
                    assert_eq!(response.status, if expected.is_some() { 421 } else { 200 }, "{what}");
                    assert_eq!(response.header("x-weir-decision"), expected, "{what}");
                    count += 1;
                    assert_eq!(gateway.decisions(count)?[count - 1].reason, expected.unwrap_or("allowed"));
                }
            }
        }
    }
    assert_eq!(hosts.nginx.wait_served(4)?.len(), 4);
    Ok(())
}

/// A client requests another host on an h2 connection that it opened for one host.
fn a_stream_for_another_host_is_misdirected_and_the_others_go_on(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let relay = TlsRelay::dial(&gateway, &hosts.authority(ALPHA), "h2")?;
    for (host, expected) in [(BETA, "sni_mismatch"), (ALPHA, "says hello")] {
        let mut http2 = Http2::open(relay.connect()?)?;
        let authority = hosts.authority(host);
        http2.begin(&[
            (":method", b"GET"),
            (":scheme", b"https"),
            (":authority", authority.as_bytes()),
            (":path", b"/"),
        ])?;
        http2.end()?;
        let content = String::from_utf8(http2.read_content())?;
        assert!(content.contains(expected), "{host}: {content}");
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_host_that_no_rule_names_has_that_reason_at_the_connect,
    a_port_that_no_rule_names_is_refused_at_the_connect,
    what_is_neither_tls_nor_http_does_not_go_out,
    plain_http_in_a_tunnel_is_judged_like_any,
    three_names_that_differ_are_misdirected,
    a_stream_for_another_host_is_misdirected_and_the_others_go_on,
);
