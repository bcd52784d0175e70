//! Headers and frames at both ends: an upstream reads what the client wrote to it, and the client what the upstream
//! wrote. Weir adds nothing of its own, and removes headers that describe the client's side.

use std::collections::BTreeSet;

use anyhow::Result;
use e2e::{
    EnvoyBinary, Front, Head, Http2, ORIGIN, Origin, Request, RunningGateway, ServerOptions, TlsRelay,
    UNLISTED, UpstreamHosts, Wire,
};

/// Headers of the two ends, which Weir forwards.
const SENT: [&str; 10] = [
    "accept: text/plain",
    "authorization: Bearer a.b-c_d~e+f/g==",
    "cookie: session=\"a b\"; theme=dark",
    // These headers identify the client's own trace, and say nothing about Weir.
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate: client=1",
    "user-agent: weir-test/1",
    "x-many: 1",
    "x-many: 2",
    "x-odd_name: a  b",
    "x-weird: kept",
];

/// Headers that would show an upstream the path of a request, or control Envoy.
const FORGED: [&str; 25] = [
    "forwarded: for=192.0.2.1",
    "proxy-authorization: Basic c2VjcmV0",
    "proxy-connection: keep-alive",
    "proxy-status: weir",
    "via: 1.1 weir",
    "x-envoy-attempt-count: 7",
    "x-envoy-decorator-operation: forged",
    "x-envoy-expected-rq-timeout-ms: 1",
    "x-envoy-external-address: 192.0.2.1",
    "x-envoy-internal: true",
    "x-envoy-max-retries: 3",
    "x-envoy-original-path: /forged",
    "x-envoy-retry-on: 5xx",
    "x-envoy-unknown: forged",
    "x-envoy-upstream-rq-timeout-ms: 1",
    "x-forwarded-client-cert: Hash=00",
    "x-forwarded-for: 192.0.2.1",
    "x-forwarded-host: forged.weir.test",
    "x-forwarded-port: 1",
    "x-forwarded-proto: http",
    "x-forwarded-unknown: forged",
    "x-request-id: 00000000-0000-4000-8000-000000000000",
    "x-weir-connection: plain//",
    "x-weir-decision: allowed",
    "x-weir-unknown: forged",
];

/// The origin's answer, and the part of it that the client must read.
const ANSWERED: [&str; 8] = [
    "alt-svc: h3=\":443\"; ma=86400",
    "content-length: 3",
    "content-type: text/plain; charset=utf-8",
    "date: Thu, 01 Jan 2026 00:00:00 GMT",
    "server: origin/1.0",
    "set-cookie: a=1; Path=/",
    "set-cookie: b=2; Path=/; Secure",
    "x-cache: HIT",
];
const REMOVED: &str = "alt-svc";

fn answer(_: &Head, wire: &mut Wire) -> Result<()> {
    wire.write(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\nyes", ANSWERED.join("\r\n")))
}

/// The upstreams: plain HTTP, https with HTTP/1.1, https with h2.
fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, [Origin; 3], RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = |front| Origin::start(&hosts, front, answer);
    let origins = [origin(Front::Plain)?, origin(Front::Http1)?, origin(Front::Http2)?];
    let gateway = Origin::gateway(envoy, &hosts, &origins.each_ref())?;
    Ok((hosts, origins, gateway))
}

/// The request that an origin must read: the client's, with the name that the client used.
fn expected(origin: &Origin, front: Front) -> Vec<String> {
    let mut lines: Vec<String> = SENT.iter().map(|line| (*line).to_owned()).collect();
    lines.push(format!("host: {}", origin.authority()));
    if front == Front::Http2 {
        lines.push("x-front-protocol: HTTP/2.0".to_owned());
    }
    lines.sort();
    lines
}

fn request(url: String, forged: bool) -> Request {
    let lines = SENT.iter().chain(FORGED.iter().filter(|_| forged));
    lines.fold(Request::get(url), |request, line| request.header(*line))
}

fn an_upstream_reads_what_the_client_wrote_and_nothing_else(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy)?;
    for (origin, front) in origins.iter().zip([Front::Plain, Front::Http1, Front::Http2]) {
        let clean = request(origin.url("/a?b=c%20d"), false);
        let forged = request(origin.url("/a?b=c%20d"), true);
        let requests = [clean.clone(), clean.http2(), forged.clone(), forged.http2()];
        for response in gateway.client().send_all(&requests)? {
            assert_eq!(response.status, 200, "{front:?}: {response:#?}");
        }
        for (head, request) in origin.wait_heads(4)?.iter().zip(requests) {
            assert_eq!(head.start, "GET /a?b=c%20d HTTP/1.1");
            assert_eq!(head.sorted(), expected(origin, front), "{front:?}, {:?}", request.version);
        }
    }
    Ok(())
}

fn header_bytes_that_are_not_utf_8_arrive_as_they_are(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy)?;
    for origin in &origins {
        let request = Request::get(origin.url("/")).header(b"x-raw: caf\xe9 \xff\xfe".to_vec());
        for request in [request.clone(), request.http2()] {
            let response = gateway.client().send(&request)?;
            assert_eq!(response.status, 200, "{response:#?}");
        }
        for head in origin.wait_heads(2)? {
            assert_eq!(head.header("x-raw"), Some("caf\u{e9} \u{ff}\u{fe}"), "{head:#?}");
        }
    }
    Ok(())
}

/// A CONNECT with plain HTTP inside and a WebSocket's request take other paths through Envoy.
fn an_upstream_reads_nothing_else_behind_a_tunnel_or_before_an_upgrade(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, [plain, http1, http2], gateway) = start(envoy)?;
    let head = |origin: &Origin, more: &[&str]| {
        let lines = SENT.iter().chain(&FORGED).chain(more).map(|line| format!("{line}\r\n"));
        format!("GET / HTTP/1.1\r\nhost: {}\r\n{}\r\n", origin.authority(), lines.collect::<String>())
    };

    let mut tunnel = Wire::connect(gateway.address()?)?;
    let authority = plain.authority();
    tunnel.write(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))?;
    assert_eq!(tunnel.expect_head()?.start, "HTTP/1.1 200 OK");
    tunnel.write(head(&plain, &[]))?;
    assert_eq!(tunnel.expect_head()?.start, "HTTP/1.1 200 OK");
    assert_eq!(plain.wait_heads(1)?[0].sorted(), expected(&plain, Front::Plain));

    let upgrade = [
        "connection: upgrade",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version: 13",
        "upgrade: websocket",
    ];
    for (origin, front) in [(&http1, Front::Http1), (&http2, Front::Http2)] {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let mut wire = relay.connect()?;
        wire.write(head(origin, &upgrade))?;
        let refused = wire.expect_head()?;
        assert_eq!(refused.start, "HTTP/1.1 200 OK", "{front:?}: {refused:#?} {}", relay.stderr());
        let mut lines = expected(origin, front);
        lines.retain(|line| !line.starts_with("x-front-protocol"));
        lines.extend(upgrade.map(str::to_owned));
        if front == Front::Http2 {
            // Upgrades exist in HTTP/1.1 only, so Envoy did not offer h2 to the server that has it.
            lines.push("x-front-protocol: HTTP/1.1".to_owned());
        }
        lines.sort();
        assert_eq!(origin.wait_heads(1)?[0].sorted(), lines, "{front:?}");
    }
    Ok(())
}

fn a_client_reads_what_the_upstream_wrote_without_the_way_to_http_3(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy)?;
    for origin in &origins {
        for request in [Request::get(origin.url("/")), Request::get(origin.url("/")).http2()] {
            let response = gateway.client().send(&request)?;
            let mut lines = Vec::new();
            for (name, values) in &response.headers {
                lines.extend(values.iter().map(|value| format!("{name}: {value}")));
            }
            let wanted: Vec<_> = ANSWERED.iter().filter(|line| !line.starts_with(REMOVED)).collect();
            assert_eq!(lines.iter().collect::<Vec<_>>(), wanted, "{}: {response:#?}", origin.url("/"));
            assert_eq!(response.content, "yes");
        }
    }
    Ok(())
}

fn answer_with_trailers(_: &Head, wire: &mut Wire) -> Result<()> {
    let trailers = ["alt-svc: h3=\":443\"", "x-weir-decision: forged", "x-weird: kept", "Alt-Svc: h2=\":1\""];
    wire.write(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n{}\r\n\r\n",
        trailers.join("\r\n")
    ))
}

fn a_client_reads_no_trailer_that_is_weirs_to_send(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = |front| Origin::start(&hosts, front, answer_with_trailers);
    let (plain, http1) = (origin(Front::Plain)?, origin(Front::Http1)?);
    let gateway = Origin::gateway(envoy, &hosts, &[&plain, &http1])?;
    let relay = TlsRelay::dial(&gateway, &http1.authority(), "http/1.1")?;
    let to_proxy = Wire::connect(gateway.address()?)?;
    for (origin, target, mut wire) in
        [(&plain, plain.url("/"), to_proxy), (&http1, "/".to_owned(), relay.connect()?)]
    {
        let authority = origin.authority();
        wire.write(format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nte: trailers\r\n\r\n"))?;
        let head = wire.expect_head()?;
        assert_eq!(head.start, "HTTP/1.1 200 OK");
        assert_eq!(wire.read_content(&head, |_| {})?, ["x-weird: kept"]);
    }
    Ok(())
}

/// Frames that would lead a client around Weir: to HTTP/3 (RFC 7838), and to other hosts on one connection (RFC 8336).
const ALTSVC: u8 = 10;
const ORIGINS: u8 = 12;

/// Answers one request over HTTP/2 with such frames before the content.
fn answer_in_frames(_: &Head, wire: &mut Wire) -> Result<()> {
    const HEADERS: u8 = 1;
    let frame = |kind: u8, flags: u8, stream: u8, content: &[u8]| {
        let [_, a, b, c] = u32::try_from(content.len()).expect("a short frame").to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, stream], content].concat()
    };
    // The rest of the preface, whose beginning was the head, and then the server's settings.
    wire.read(6)?;
    wire.write(frame(4, 0, 0, &[]))?;
    loop {
        let head = wire.read(9)?;
        let [a, b, c, kind, ..] = *head.as_slice() else { unreachable!("nine bytes were read") };
        wire.read(u32::from_be_bytes([0, a, b, c]) as usize)?;
        if kind == HEADERS {
            break;
        }
    }
    wire.write(frame(4, 1, 0, &[]))?;
    let origin = format!("https://{ORIGIN}");
    let length = u16::try_from(origin.len())?.to_be_bytes();
    wire.write(frame(ALTSVC, 0, 0, &[&length, origin.as_bytes(), b"h3=\":443\""].concat()))?;
    wire.write(frame(ALTSVC, 0, 1, b"\0\0h3=\":443\""))?;
    wire.write(frame(ORIGINS, 0, 0, &[&length, origin.as_bytes()].concat()))?;
    // `:status: 200` of HPACK's table (RFC 7541, appendix A), then content that ends the stream.
    wire.write(frame(HEADERS, 4, 1, &[0x88]))?;
    wire.write(frame(0, 1, 1, b"yes"))?;
    wire.read_to_end()?;
    Ok(())
}

fn frames_that_lead_around_weir_do_not_reach_the_client(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Frames, answer_in_frames)?;
    let gateway = Origin::gateway(envoy, &hosts, &[&origin])?;
    let relay = TlsRelay::dial(&gateway, &origin.authority(), "h2")?;
    let mut http2 = Http2::open(relay.connect()?)?;
    http2.post(&origin.authority(), "/")?;
    http2.end()?;
    assert_eq!(http2.read_content(), b"yes", "{}", relay.stderr());
    assert!(!http2.kinds().contains(&ALTSVC) && !http2.kinds().contains(&ORIGINS), "{:?}", http2.kinds());
    Ok(())
}

/// Weir's own answers, and Envoy's answers without an upstream, do not name Envoy.
fn weirs_own_answers_do_not_name_envoy(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy)?;
    let [plain, http1, _] = &origins;
    let denied = gateway.client().get(format!("http://{UNLISTED}/"))?;
    assert_eq!(denied.status, 403, "{denied:#?}");
    let gone = [plain.url("/"), http1.url("/")];
    drop(origins);
    for url in gone {
        let response = gateway.client().get(url)?;
        assert_eq!(response.status, 503, "{response:#?}");
        let names: BTreeSet<_> = response.headers.keys().chain(denied.headers.keys()).collect();
        assert!(names.iter().all(|name| !name.starts_with("x-envoy-")), "{names:?}");
        for response in [&response, &denied] {
            assert_eq!(response.header("server"), None, "{response:#?}");
            assert!(!response.content.to_lowercase().contains("envoy"), "{response:#?}");
        }
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    an_upstream_reads_what_the_client_wrote_and_nothing_else,
    header_bytes_that_are_not_utf_8_arrive_as_they_are,
    an_upstream_reads_nothing_else_behind_a_tunnel_or_before_an_upgrade,
    a_client_reads_what_the_upstream_wrote_without_the_way_to_http_3,
    a_client_reads_no_trailer_that_is_weirs_to_send,
    frames_that_lead_around_weir_do_not_reach_the_client,
    weirs_own_answers_do_not_name_envoy,
);
