//! Answers that arrive before the content of a request: interim responses, `Expect: 100-continue`, and denials.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{
    EnvoyBinary, Front, Head, Http2, Origin, Process, Run, RunningGateway, ServerOptions, TlsRelay,
    UpstreamHosts, Wire, require_program,
};
use tempfile::TempDir;

const DENIED: &str = "/denied";

/// Starts an origin, and a gateway that allows all of its paths except [`DENIED`].
fn start(
    envoy: &EnvoyBinary,
    answer: impl Fn(&Head, &mut Wire) -> Result<()> + Send + Sync + 'static,
) -> Result<(UpstreamHosts, Origin, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Http1, answer)?;
    let denied = format!("  - {{id: denied, effect: deny, hosts: ['*.weir.test'], paths: [{DENIED}]}}\n");
    let gateway = Run::new(envoy, &hosts, &format!("rules:\n{}{denied}", origin.rule()))?.start()?;
    Ok((hosts, origin, gateway))
}

/// Runs curl, and returns its standard output.
fn curl(gateway: &RunningGateway, arguments: &[&str], url: &str) -> Result<String> {
    let mut command = Process::command(require_program("curl")?);
    command.env_clear().args(["--disable", "--silent", "--show-error", "--max-time", "30"]);
    command.args(["--proxy", gateway.proxy(), "--capath", "/dev/null", "--cacert"]);
    let output = command.arg(gateway.authority()).args(arguments).args(["--url", url]).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl ended with {}: {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn an_interim_response_reaches_the_client(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, |_, wire| {
        wire.write("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n")?;
        wire.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    })?;
    for (version, name) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        let seen = curl(&gateway, &[version, "--include"], &origin.url("/"))?;
        let seen: Vec<_> = seen.lines().map(str::trim_end).collect();
        let statuses: Vec<_> =
            seen.iter().filter_map(|line| line.strip_prefix(name)?.split_whitespace().next()).collect();
        // The first 200 is the answer to the CONNECT, which is always HTTP/1.1.
        assert!(statuses.ends_with(&["103", "200"]), "{seen:#?}");
        assert!(seen.contains(&"link: </style.css>"), "{seen:#?}");
    }
    Ok(())
}

fn an_interim_response_has_no_header_of_weirs_from_envoy_1_40_on(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, |_, wire| {
        let forged = "x-weir-decision: forged\r\nalt-svc: h3=\":443\"\r\n";
        wire.write(format!("HTTP/1.1 103 Early Hints\r\n{forged}\r\n"))?;
        wire.write(format!("HTTP/1.1 200 OK\r\n{forged}content-length: 0\r\n\r\n"))
    })?;
    // Before 1.40, Envoy removes the headers from the answer alone.
    let seen_each = if envoy.version.as_str() < "1.40" { 1 } else { 0 };
    for version in ["--http1.1", "--http2"] {
        let seen = curl(&gateway, &[version, "--include"], &origin.url("/"))?;
        assert!(seen.contains(" 103") && seen.contains(" 200"), "{seen}");
        for name in ["x-weir-decision", "alt-svc"] {
            assert_eq!(seen.matches(name).count(), seen_each, "{seen}");
        }
    }
    Ok(())
}

/// Answers 401 before the content, and asks an authorized client for it.
fn ask_for_authorization(head: &Head, wire: &mut Wire) -> Result<()> {
    ensure!(head.header("expect") == Some("100-continue"), "no `Expect`: {head:#?}");
    if head.header("authorization").is_none() {
        return wire.write("HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\n\r\nno\n");
    }
    wire.write("HTTP/1.1 100 Continue\r\n\r\n")?;
    let mut content = Vec::new();
    wire.read_content(head, |piece| content.extend_from_slice(piece))?;
    ensure!(content == b"content", "{content:?}");
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\ndone\n")
}

fn the_upstream_answers_a_client_that_expects_100_before_its_content(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, ask_for_authorization)?;
    let authority = origin.authority();
    for (path, more, expected) in [
        ("/", "", ["401"].as_slice()),
        ("/", "authorization: Basic YTpi\r\n", &["100", "200"]),
        // The denial comes before a 100, which would ask for the content.
        (DENIED, "", &["403"]),
    ] {
        let relay = TlsRelay::dial(&gateway, &authority, "http/1.1")?;
        let mut wire = relay.connect()?;
        wire.write(format!(
            "PUT {path} HTTP/1.1\r\nhost: {authority}\r\nexpect: 100-continue\r\ncontent-length: 7\r\n{more}\r\n"
        ))?;
        for status in expected {
            let head = wire.expect_head()?;
            assert_eq!(head.start.split(' ').nth(1), Some(*status), "{path}: {head:#?}");
            if *status == "100" {
                wire.write("content")?;
            }
        }
    }
    assert_eq!(origin.wait_heads(2)?.len(), 2, "the denied request reached the upstream");
    Ok(())
}

fn a_denied_request_with_content_over_http_2_gets_its_answer(envoy: &EnvoyBinary) -> Result<()> {
    const TRIES: usize = 10;
    let (_hosts, origin, gateway) = start(envoy, |head, _| Err(anyhow::anyhow!("it came out: {head:#?}")))?;
    let folder = TempDir::new()?;
    let file = folder.path().join("content");
    let named = format!("@{}", file.to_str().context("the path is not UTF-8")?);
    for size in [10, 1_000, 100_000, 10_000_000] {
        fs::write(&file, vec![b'x'; size])?;
        for _ in 0..TRIES {
            // curl that loses the answer ends with 92.
            let arguments =
                ["--http2", "--data-binary", &named, "--write-out", "%{http_code} %{http_version}"];
            let seen = curl(&gateway, &arguments, &origin.url(DENIED))?;
            assert!(seen.contains("denied_by_rule") && seen.ends_with("403 2"), "{size} bytes: {seen}");
        }
    }
    for decision in gateway.decisions(4 * TRIES)? {
        assert_eq!((decision.status, decision.reason.as_str()), (403, "denied_by_rule"), "{decision:#?}");
    }
    assert_eq!(origin.wait_heads(0)?, []);
    Ok(())
}

/// Begins a request that is denied, with more header fields.
fn put_denied(http2: &mut Http2, authority: &str, more: &[(&str, &[u8])]) -> Result<()> {
    let fields: [(&str, &[u8]); 4] = [
        (":method", b"PUT"),
        (":scheme", b"https"),
        (":authority", authority.as_bytes()),
        (":path", DENIED.as_bytes()),
    ];
    http2.begin(&[&fields[..], more].concat())
}

/// A client that waits for the answer before it sends content, or may send content for ever, gets the answer at once.
fn a_denial_does_not_wait_for_content_that_may_not_come(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, |head, _| Err(anyhow::anyhow!("it came out: {head:#?}")))?;
    let authority = origin.authority();
    let expecting: [(&str, &[u8]); 2] = [("content-length", b"7"), ("expect", b"100-continue")];
    for more in [expecting.as_slice(), &[], &[("content-length", b"16777217")]] {
        let relay = TlsRelay::dial(&gateway, &authority, "h2")?;
        let mut http2 = Http2::open(relay.connect()?)?;
        put_denied(&mut http2, &authority, more)?;
        let content = String::from_utf8(http2.read_content())?;
        assert!(content.contains("denied_by_rule"), "{more:?}: {content}");
    }
    Ok(())
}

/// The client sends a part of the content that it announced, and closes the connection.
fn a_client_that_goes_away_in_the_middle_of_a_denied_request_leaves_nothing(
    envoy: &EnvoyBinary,
) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, |head, _| Err(anyhow::anyhow!("it came out: {head:#?}")))?;
    let authority = origin.authority();
    for _ in 0..3 {
        let relay = TlsRelay::dial(&gateway, &authority, "h2")?;
        let mut http2 = Http2::open(relay.connect()?)?;
        put_denied(&mut http2, &authority, &[("content-length", b"7")])?;
        http2.write(b"con")?;
        http2.settings()?;
    }
    let decisions = gateway.decisions(3)?;
    assert!(decisions.iter().all(|decision| decision.reason == "denied_by_rule"), "{decisions:#?}");
    // The gateway still serves requests.
    let seen = curl(&gateway, &["--http2", "--data", "x"], &origin.url(DENIED))?;
    assert!(seen.contains("denied_by_rule"), "{seen}");
    assert_eq!(origin.wait_heads(0)?, []);
    Ok(())
}

on_oldest_and_newest_envoy!(
    an_interim_response_reaches_the_client,
    an_interim_response_has_no_header_of_weirs_from_envoy_1_40_on,
    the_upstream_answers_a_client_that_expects_100_before_its_content,
    a_denied_request_with_content_over_http_2_gets_its_answer,
    a_denial_does_not_wait_for_content_that_may_not_come,
    a_client_that_goes_away_in_the_middle_of_a_denied_request_leaves_nothing,
);
