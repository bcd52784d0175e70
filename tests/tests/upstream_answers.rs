//! Answers of servers as they really are: those that curl reads reach the client, and the others get a true cause.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use e2e::{
    EnvoyBinary, Front, Head, Http2, HttpVersion, Origin, Request, RunningGateway, ServerOptions, TlsRelay,
    UpstreamHosts, Wire,
};

/// Starts an origin behind each front, and a gateway for them.
fn start<A>(
    envoy: &EnvoyBinary,
    fronts: &[Front],
    answer: impl Fn() -> A,
) -> Result<(UpstreamHosts, Vec<Origin>, RunningGateway)>
where
    A: Fn(&Head, &mut Wire) -> Result<()> + Send + Sync + 'static,
{
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origins = fronts.iter().map(|front| Origin::start(&hosts, *front, answer()));
    let origins = origins.collect::<Result<Vec<_>>>()?;
    let gateway = Origin::gateway(envoy, &hosts, &origins.iter().collect::<Vec<_>>())?;
    Ok((hosts, origins, gateway))
}

/// The numbers that the path's segments are.
fn numbers(head: &Head) -> Result<[usize; 2]> {
    let path = head.start.split(' ').nth(1).context("no path")?;
    let numbers = path.trim_start_matches('/').split('/').map(str::parse);
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    numbers.try_into().map_err(|numbers| anyhow::anyhow!("not two numbers: {numbers:?}"))
}

/// Answers `/COUNT/LENGTH` with that many fields of that length.
fn answer_with_fields(head: &Head, wire: &mut Wire) -> Result<()> {
    let [count, length] = numbers(head)?;
    let value = "v".repeat(length);
    let mut answer = "HTTP/1.1 200 OK\r\n".to_owned();
    for number in 0..count {
        write!(answer, "set-cookie: c{number}={value}\r\n")?;
    }
    wire.write(answer + "content-length: 2\r\n\r\nok")
}

fn an_answer_has_up_to_a_thousand_fields_and_128_kib_of_them(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || answer_with_fields)?;
    for origin in &origins {
        // Over HTTP/2, Envoy 1.36 splits more than 80 KiB of fields into more frames than curl takes.
        for (version, large) in [(HttpVersion::Http1, 60_000), (HttpVersion::Http2, 38_000)] {
            // With its length, an answer has one field more than its cookies.
            for (count, length, status) in
                [(150, 8, 200), (999, 8, 200), (2, large, 200), (1000, 8, 502), (2, 70_000, 502)]
            {
                let url = origin.url(&format!("/{count}/{length}"));
                let response = gateway.client().send(&Request { version, ..Request::get(url) })?;
                assert_eq!(response.status, status, "{count} fields of {length} bytes: {}", response.error);
                let cookies = response.headers.get("set-cookie").map_or(0, Vec::len);
                assert_eq!(cookies, if status == 200 { count } else { 0 });
            }
        }
    }
    Ok(())
}

/// Answers one request over HTTP/2 with that many fields.
fn answer_with_fields_in_frames(wire: &mut Wire, count: usize) -> Result<()> {
    const HEADERS: u8 = 1;
    let frame = |kind: u8, flags: u8, stream: u8, content: &[u8]| {
        let [_, a, b, c] = u32::try_from(content.len()).expect("a short frame").to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, stream], content].concat()
    };
    // The rest of the preface, of which the head was the beginning; then settings of our own.
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
    // `:status: 200` of HPACK's table, and fields that enter no table (RFC 7541, section 6.2.2).
    let field = b"\0\x0aset-cookie\x03c=1".repeat(count);
    wire.write(frame(HEADERS, 4, 1, &[&[0x88], &field[..]].concat()))?;
    wire.write(frame(0, 1, 1, b"ok"))?;
    wire.read_to_end()?;
    Ok(())
}

fn an_answer_over_http_2_has_as_many_fields(envoy: &EnvoyBinary) -> Result<()> {
    // The status is a field over HTTP/2.
    for (count, status) in [(999, 200), (1000, 503)] {
        let answer = move |_: &Head, wire: &mut Wire| answer_with_fields_in_frames(wire, count);
        let (_hosts, origins, gateway) = start(envoy, &[Front::Frames], || answer)?;
        let response = gateway.client().get(origins[0].url("/"))?;
        assert_eq!(response.status, status, "{count} fields: {}", response.error);
        if status == 200 {
            assert_eq!(response.headers.get("set-cookie").map(Vec::len), Some(count));
            continue;
        }
        let body = response.json()?;
        let (cause, hint) = (body["cause"].to_string(), body["hint"].to_string());
        assert!(cause.contains("too large") && hint.contains("1000 header fields"), "{body:#}");
    }
    Ok(())
}

/// RFC 9112, section 6.3: the chunks decide, and a proxy removes the other length.
fn an_answer_with_chunks_and_a_length_has_the_chunks(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &[Front::Plain, Front::Http1], || {
        |head: &Head, wire: &mut Wire| {
            let fields = match head.start.split(' ').nth(1) {
                Some("/length-first") => "content-length: 40\r\ntransfer-encoding: chunked\r\n",
                _ => "transfer-encoding: chunked\r\ncontent-length: 1\r\n",
            };
            wire.write(format!("HTTP/1.1 200 OK\r\n{fields}\r\n2\r\nok\r\n0\r\n\r\n"))
        }
    })?;
    for origin in &origins {
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let requests = ["/length-first", "/chunks-first", "/length-first"]
                .map(|path| Request { version, ..Request::get(origin.url(path)) });
            for response in gateway.client().send_all(&requests)? {
                assert_eq!((response.status, response.content.as_str()), (200, "ok"), "{response:#?}");
                assert_eq!(
                    (response.header("content-length"), response.exit_code),
                    (None, 0),
                    "{response:#?}"
                );
            }
        }
    }
    Ok(())
}

/// A request with both lengths is refused (`smuggling.rs`, `invalid_requests.rs`).
fn an_answer_that_envoy_cannot_read_is_refused_with_its_cause(envoy: &EnvoyBinary) -> Result<()> {
    const ANSWERS: [&str; 8] = [
        "content-length : 2\r\n\r\nok",
        "x-a\t: b\r\ncontent-length: 2\r\n\r\nok",
        "content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "content-length: 2\r\ncontent-length: 2\r\n\r\nok",
        "transfer-encoding: identity\r\n\r\nok",
        "x(a): b\r\ncontent-length: 2\r\n\r\nok",
        "x-a: a\0b\r\ncontent-length: 2\r\n\r\nok",
        "no colon\r\ncontent-length: 2\r\n\r\nok",
    ];
    let (_hosts, origins, gateway) = start(envoy, &[Front::Plain, Front::Http1], || {
        |head: &Head, wire: &mut Wire| {
            let [number, _] = numbers(head)?;
            wire.write(format!("HTTP/1.1 200 OK\r\n{}", ANSWERS[number]))?;
            wire.end()
        }
    })?;
    let cause = "its answer is incomplete or not valid HTTP, or its headers are too large";
    for origin in &origins {
        for (number, answer) in ANSWERS.iter().enumerate() {
            let response = gateway.client().get(origin.url(&format!("/{number}/0")))?;
            assert_eq!(response.status, 502, "{answer:?}");
            let body = response.json()?;
            assert_eq!((&body["reason"], &body["cause"]), (&"upstream_unreachable".into(), &cause.into()));
            let hint = body["hint"].as_str().unwrap_or_default();
            assert!(hint.contains("tls: passthrough") && !hint.contains("try again later"), "{hint}");
            let proxy_status = response.header("proxy-status").unwrap_or_default();
            assert!(proxy_status.contains("error=http_protocol_error"), "{proxy_status}");
        }
    }
    for decision in gateway.decisions(2 * ANSWERS.len())? {
        assert_eq!(decision.cause.as_deref(), Some(cause), "{decision:#?}");
    }
    Ok(())
}

fn header_names_keep_their_spelling(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |_: &Head, wire: &mut Wire| {
            wire.write("HTTP/1.1 200 OK\rx-evil: 1\r\nX-oDD-Name: 1\r\nCONTENT-length: 2\r\n\r\nok")
        }
    })?;
    for (origin, front) in origins.iter().zip(fronts) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (mut wire, target) = match front {
            Front::Plain => (Wire::connect(gateway.address()?)?, origin.url("/")),
            Front::Http1 | Front::Frames | Front::Http2 => (relay.connect()?, "/".to_owned()),
        };
        let authority = origin.authority();
        wire.write(format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nSOAPAction: x\r\nx-LOWER: y\r\n\r\n"
        ))?;
        let answer = wire.expect_head()?;
        assert_eq!(answer.start, "HTTP/1.1 200 OK");
        for line in ["X-oDD-Name: 1", "CONTENT-length: 2"] {
            assert!(answer.lines.iter().any(|found| found == line), "{front:?}: {answer:#?}");
        }
        let [sent] = origin.wait_heads(1)?.try_into().expect("one request");
        for line in ["SOAPAction: x", "x-LOWER: y"] {
            assert!(sent.lines.iter().any(|found| found == line), "{front:?}: {sent:#?}");
        }
    }
    // HTTP/2 has names in lower case only.
    let relay = TlsRelay::dial(&gateway, &origins[1].authority(), "h2")?;
    let mut http2 = Http2::open(relay.connect()?)?;
    http2.post(&origins[1].authority(), "/")?;
    http2.end()?;
    assert_eq!(http2.read_content(), b"ok", "{}", relay.stderr());
    Ok(())
}

/// Apache's client for Java offers TLS on plain HTTP, and goes on without.
fn an_offered_upgrade_is_ignored(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |_: &Head, wire: &mut Wire| wire.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    })?;
    const OFFERS: [&str; 5] = ["TLS/1.2", "tls/1.3", "TLS/1.0, TLS/1.2", "HTTP/2.0", "h2c"];
    for origin in &origins {
        for offer in OFFERS {
            let request = Request::get(origin.url("/"))
                .header("connection: Upgrade, keep-alive")
                .header(format!("upgrade: {offer}"));
            let response = gateway.client().send(&request)?;
            assert_eq!((response.status, response.content.as_str()), (200, "ok"), "{offer}: {response:#?}");
        }
        for head in origin.wait_heads(OFFERS.len())? {
            assert_eq!((head.header("upgrade"), head.header("connection")), (None, None), "{head:#?}");
        }
    }
    // A program that asks for another one cannot go on without.
    let request = Request::get(origins[0].url("/")).header("connection: Upgrade").header("upgrade: SPDY/3.1");
    let response = gateway.client().send(&request)?;
    assert_eq!((response.status, response.header("x-weir-decision")), (501, Some("unsupported_request")));
    Ok(())
}

on_oldest_and_newest_envoy!(
    an_answer_has_up_to_a_thousand_fields_and_128_kib_of_them,
    an_answer_over_http_2_has_as_many_fields,
    an_answer_with_chunks_and_a_length_has_the_chunks,
    an_answer_that_envoy_cannot_read_is_refused_with_its_cause,
    header_names_keep_their_spelling,
    an_offered_upgrade_is_ignored,
);
