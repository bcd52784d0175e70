//! Bytes that Envoy refuses before the policy filter: the client gets the reason, and the decision log has a line.

use anyhow::{Context, Result};
use e2e::{
    EnvoyBinary, Front, Head, Http2, LoggedDecision, Origin, RunningGateway, ServerOptions, TlsRelay,
    UpstreamHosts, Wire,
};

/// The place of a request that Envoy refuses: in absolute form at the proxy, or inside a tunnel with TLS.
const PLACES: [Front; 2] = [Front::Plain, Front::Http1];

fn answer(_: &Head, wire: &mut Wire) -> Result<()> {
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes")
}

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, [Origin; 2], RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origins = [Origin::start(&hosts, PLACES[0], answer)?, Origin::start(&hosts, PLACES[1], answer)?];
    let gateway = Origin::gateway(envoy, &hosts, &origins.each_ref())?;
    Ok((hosts, origins, gateway))
}

/// Sends one request over HTTP/2. Returns the content of the answer, and the decision with this number.
fn refused_over_http2(
    gateway: &RunningGateway,
    wire: Wire,
    fields: &[(&str, &[u8])],
    number: usize,
) -> Result<(Vec<u8>, LoggedDecision)> {
    let mut http2 = Http2::open(wire)?;
    http2.begin(fields)?;
    let content = http2.read_content();
    let decision = gateway.decisions(number)?.pop().context("no decision")?;
    Ok((content, decision))
}

/// The bytes of each refused request, and the reason. `url` is the beginning of a target, `host` is the `Host` line.
fn refused(url: &str, host: &str) -> Vec<(&'static str, String, &'static str)> {
    let get = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\n{host}\r\n{lines}\r\n");
    let post = |lines: &str, content: &str| format!("POST {url}/ HTTP/1.1\r\n{host}\r\n{lines}\r\n{content}");
    let root = format!("{url}/");
    let long = "a".repeat(70_000);
    let many: String = (0..150).map(|number| format!("x-{number}: y\r\n")).collect();
    vec![
        ("garbage", "\0\u{1}\u{2}garbage\r\n\r\n".to_owned(), "malformed_request"),
        ("no version", "hello world\r\n\r\n".to_owned(), "malformed_request"),
        ("HTTP/0.9", "GET /\r\n".to_owned(), "malformed_request"),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), "malformed_request"),
        ("a method with brackets", post("", "").replace("POST", "P(ST"), "malformed_request"),
        ("another scheme", get("ftp://origin.weir.test/", ""), "malformed_request"),
        ("a relative path", get("path", ""), "malformed_request"),
        ("a fragment", get(&format!("{root}#fragment"), ""), "malformed_request"),
        ("an encoded NUL", get(&format!("{root}a%00b"), ""), "malformed_request"),
        ("a header name with a space", get(&root, "x y: z\r\n"), "malformed_request"),
        ("NUL in a header", get(&root, "x: a\0b\r\n"), "malformed_request"),
        (
            "two kinds of length",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            "malformed_request",
        ),
        ("two lengths", post("content-length: 5\r\ncontent-length: 6\r\n", "hello"), "malformed_request"),
        ("no number for a length", post("content-length: x\r\n", "hello"), "malformed_request"),
        ("zeros before a length", post("content-length: 005\r\n", "hello"), "malformed_request"),
        (
            "a length of 64 bits",
            post("content-length: 9223372036854775808\r\n", "hello"),
            "malformed_request",
        ),
        ("a path in the host", format!("GET / HTTP/1.1\r\n{host}/x\r\n\r\n"), "malformed_request"),
        ("a query in the host", format!("GET / HTTP/1.1\r\n{host}?x\r\n\r\n"), "malformed_request"),
        ("a quoted host", format!("GET / HTTP/1.1\r\n{host}\"\r\n\r\n"), "malformed_request"),
        ("a CONNECT to a path", format!("CONNECT / HTTP/1.1\r\n{host}\r\n\r\n"), "malformed_request"),
        ("long headers", get(&root, &format!("x: {long}\r\n")), "request_too_large"),
        ("many headers", get(&root, &many), "request_too_large"),
        ("a long URL", get(&format!("{root}{long}"), ""), "request_too_large"),
        ("OPTIONS of the server", format!("OPTIONS * HTTP/1.1\r\n{host}\r\n\r\n"), "unsupported_request"),
        ("another coding", post("transfer-encoding: gzip\r\n", "hello"), "unsupported_request"),
        ("another upgrade", get(&root, "connection: upgrade\r\nupgrade: irc/6.9\r\n"), "unsupported_request"),
    ]
}

fn status(reason: &str) -> u16 {
    weir_policy::Reason::from_word(reason).expect("a reason").status()
}

fn what_is_no_request_gets_an_answer_with_the_reason_and_a_decision(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy)?;
    let mut count = 0;
    for (origin, place) in origins.iter().zip(PLACES) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (url, host) = match place {
            Front::Plain => (origin.url(""), format!("host: {}", origin.authority())),
            Front::Http1 | Front::Frames | Front::Http2 => {
                (String::new(), format!("host: {}", origin.authority()))
            }
        };
        for (what, bytes, reason) in refused(&url, &host) {
            let mut wire = match place {
                Front::Plain => Wire::connect(gateway.address()?)?,
                Front::Http1 | Front::Frames | Front::Http2 => relay.connect()?,
            };
            // Envoy may answer, and close the connection, before it has read everything.
            wire.write(&bytes).ok();
            let head = wire.expect_head().map_err(|error| error.context(format!("{place:?}, {what}")))?;
            let mut content = Vec::new();
            wire.read_content(&head, |piece| content.extend_from_slice(piece))?;
            let said = head.start.split(' ').nth(1).and_then(|status| status.parse().ok());
            assert_eq!(said, Some(status(reason)), "{place:?}, {what}: {head:#?}");
            assert_eq!(head.header("x-weir-decision"), Some(reason), "{place:?}, {what}: {head:#?}");
            assert_eq!(head.header("content-type"), Some("application/json"), "{what}");
            let proxy_status = format!("weir; error=http_request_error; details=\"{reason}\"");
            assert_eq!(head.header("proxy-status"), Some(proxy_status.as_str()), "{what}");
            let body: serde_json::Value = serde_json::from_slice(&content)?;
            assert_eq!(
                (&body["error"]["type"], &body["reason"]),
                (&"invalid_request".into(), &reason.into()),
                "{what}"
            );
            assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{what}");
            count += 1;
            let Some(LoggedDecision { effect, reason: logged, status: answered, path, .. }) =
                gateway.decisions(count)?.pop()
            else {
                anyhow::bail!("no decision on {what}");
            };
            assert_eq!(
                (effect.as_str(), logged.as_str(), answered),
                ("deny", reason, status(reason)),
                "{what}"
            );
            assert!(path.is_some_and(|path| path.len() <= 256), "{what}");
        }
    }
    for origin in &origins {
        assert_eq!(origin.wait_heads(0)?, [], "nothing went out");
    }
    Ok(())
}

/// The header fields of each refused HTTP/2 request, and its decision. Where Envoy cannot answer, it ends the stream or
/// the connection.
fn requests_of_http_2_are_refused_alike(envoy: &EnvoyBinary) -> Result<()> {
    const UDP: &[u8] = b"/.well-known/masque/udp/192.0.2.1/443/";
    let (_hosts, [plain, tls], gateway) = start(envoy)?;
    let relay = TlsRelay::dial(&gateway, &tls.authority(), "h2")?;
    let mut count = 0;
    for (origin, scheme) in [(&plain, b"http".as_slice()), (&tls, b"https")] {
        let authority = origin.authority();
        let get = |more: (&'static str, &'static [u8])| {
            vec![
                (":method", b"GET".as_slice()),
                (":scheme", scheme),
                (":authority", authority.as_bytes()),
                (":path", b"/"),
                more,
            ]
        };
        let with = |index: usize, value: &'static [u8]| {
            let mut fields = get(("accept", b"*/*"));
            fields[index].1 = value;
            fields
        };
        let mut cases = vec![
            ("upper case in a name", get(("X-Upper", b"a")), "malformed_request", false),
            ("a header of a connection", get(("connection", b"close")), "malformed_request", false),
            ("a coding", get(("transfer-encoding", b"chunked")), "malformed_request", false),
            ("a line in a value", get(("x", b"a\r\nb: c")), "malformed_request", false),
            ("two paths", get((":path", b"/x")), "malformed_request", false),
            ("no path", with(3, b""), "malformed_request", false),
            ("a method with a space", with(0, b"G T"), "malformed_request", false),
            ("a fragment", with(3, b"/a#b"), "malformed_request", true),
        ];
        let mut options = with(3, b"*");
        options[0].1 = b"OPTIONS";
        cases.push(("OPTIONS of the server", options, "unsupported_request", true));
        if scheme == b"http" {
            // A CONNECT may have a protocol only where tunnels begin. Elsewhere it is an error of HTTP/2.
            for (what, protocol) in [("CONNECT-UDP", b"connect-udp".as_slice()), ("another protocol", b"irc")]
            {
                let mut fields = with(3, UDP);
                fields[0].1 = b"CONNECT";
                fields.insert(1, (":protocol", protocol));
                cases.push((what, fields, "unsupported_request", true));
            }
        }
        for (what, fields, reason, answered) in cases {
            let wire =
                if scheme == b"http" { Wire::connect(gateway.address()?)? } else { relay.connect()? };
            count += 1;
            let (content, decision) = refused_over_http2(&gateway, wire, &fields, count)?;
            assert_eq!((decision.effect.as_str(), decision.reason.as_str()), ("deny", reason), "{what}");
            assert_eq!(decision.status, if answered { status(reason) } else { 0 }, "{what}");
            if answered {
                let body: serde_json::Value = serde_json::from_slice(&content)?;
                assert_eq!(body["reason"], reason, "{what}");
            } else {
                assert_eq!(content, b"", "{what}");
            }
        }
        assert_eq!(origin.wait_heads(0)?, [], "nothing went out");
    }
    Ok(())
}

/// Envoy refuses some lengths itself, and ends the connection; the filter answers the others.
fn a_length_that_servers_may_read_in_two_ways_does_not_go_out_of_http_2(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, [plain, tls], gateway) = start(envoy)?;
    let relay = TlsRelay::dial(&gateway, &tls.authority(), "h2")?;
    let odd: [&[&[u8]]; 15] = [
        &[b"+5"],
        &[b" 5"],
        &[b"5 "],
        &[b"\t5"],
        &[b"005"],
        &[b"00"],
        &[b"5,5"],
        &[b"5, 5"],
        &[b"0x5"],
        &[b""],
        &[b"-5"],
        &[b"9223372036854775808"],
        &[b"18446744073709551615"],
        &[b"18446744073709551621"],
        &[b"5", b"6"],
    ];
    let mut count = 0;
    for (origin, scheme) in [(&plain, b"http".as_slice()), (&tls, b"https")] {
        let authority = origin.authority();
        for lengths in odd {
            let mut fields = vec![
                (":method", b"POST".as_slice()),
                (":scheme", scheme),
                (":authority", authority.as_bytes()),
                (":path", b"/"),
            ];
            fields.extend(lengths.iter().map(|length| ("content-length", *length)));
            let wire =
                if scheme == b"http" { Wire::connect(gateway.address()?)? } else { relay.connect()? };
            count += 1;
            let (content, decision) = refused_over_http2(&gateway, wire, &fields, count)?;
            let text = lengths.iter().map(|length| length.escape_ascii().to_string()).collect::<Vec<_>>();
            assert_eq!(
                (decision.effect.as_str(), decision.reason.as_str()),
                ("deny", "malformed_request"),
                "{text:?}"
            );
            if !content.is_empty() {
                let body: serde_json::Value = serde_json::from_slice(&content)?;
                assert_eq!(
                    (&body["error"]["type"], &body["reason"]),
                    (&"invalid_request".into(), &"malformed_request".into()),
                    "{text:?}"
                );
            }
        }
        assert_eq!(origin.wait_heads(0)?, [], "nothing went out");
    }
    Ok(())
}

/// Envoy answers at most two requests of a connection before the answers are written (`codec_error:
/// Too_many_responses_queued`), and a denial is an answer at once. What is refused so is in the log.
fn a_third_pipelined_denial_closes_the_connection_and_says_so_in_the_log(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, _origins, gateway) = start(envoy)?;
    let mut wire = Wire::connect(gateway.address()?)?;
    wire.write("GET http://unlisted.weir.test/ HTTP/1.1\r\nhost: unlisted.weir.test\r\n\r\n".repeat(5))?;
    for _ in 0..2 {
        let head = wire.expect_head()?;
        assert_eq!(head.header("x-weir-decision"), Some("host_not_allowed"));
        wire.read_content(&head, |_| {})?;
    }
    assert_eq!(wire.read_to_end()?, b"");
    let decisions = gateway.decisions(3)?;
    let mut seen: Vec<_> =
        decisions.iter().map(|it| (it.effect.as_str(), it.reason.as_str(), it.status)).collect();
    // All within a millisecond, and over two streams.
    seen.sort_unstable();
    let denied = ("deny", "host_not_allowed", 403);
    assert_eq!(seen, [denied, denied, ("deny", "unsupported_request", 0)]);
    Ok(())
}

/// The method is the policy's to judge, also where Envoy does not know it.
fn a_method_of_ones_own_is_judged(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, [plain, _], gateway) = start(envoy)?;
    let response = gateway.client().send(&e2e::Request::get(plain.url("/")).method("BREW"))?;
    assert_eq!(response.status, 200, "{response:#?}");
    assert_eq!(plain.wait_heads(1)?[0].start, "BREW / HTTP/1.1");
    assert_eq!(gateway.only_decision()?.method.as_deref(), Some("BREW"));
    Ok(())
}

on_oldest_and_newest_envoy!(
    what_is_no_request_gets_an_answer_with_the_reason_and_a_decision,
    requests_of_http_2_are_refused_alike,
    a_length_that_servers_may_read_in_two_ways_does_not_go_out_of_http_2,
    a_third_pipelined_denial_closes_the_connection_and_says_so_in_the_log,
    a_method_of_ones_own_is_judged,
);
