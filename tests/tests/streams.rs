//! Streams through interception: Envoy forwards bytes as they arrive, in both directions and both versions of HTTP.

mod curl;
mod framing;
mod grpc;
mod large_contents;
mod pattern;
mod websocket;

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    EnvoyBinary, Front, Head, Http2, Origin, RunningGateway, ServerOptions, TlsRelay, UpstreamHosts, Wire,
};

use curl::Curl;

/// The time limit for bytes that a test expects.
const WAIT: Duration = Duration::from_secs(20);
const MIB: u64 = 1 << 20;
const OVER_TLS: [Front; 2] = [Front::Http1, Front::Http2];
const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

/// Starts one origin behind each of these fronts, and a gateway that allows them.
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

/// Pairs each origin with each version of HTTP that curl can speak.
fn pairs(origins: &[Origin]) -> impl Iterator<Item = (&Origin, &'static str)> {
    origins.iter().flat_map(|origin| VERSIONS.map(|version| (origin, version)))
}

/// Opens a connection whose bytes the test writes itself. Returns it with the request target for `/`.
fn connect(
    gateway: &RunningGateway,
    relay: &TlsRelay,
    origin: &Origin,
    front: Front,
) -> Result<(Wire, String)> {
    Ok(match front {
        Front::Plain => (Wire::connect(gateway.address()?)?, origin.url("/")),
        Front::Http1 | Front::Frames | Front::Http2 => (relay.connect()?, "/".to_owned()),
    })
}

fn an_event_arrives_while_the_response_is_open(envoy: &EnvoyBinary) -> Result<()> {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        let released = Arc::clone(&released);
        move |_: &Head, wire: &mut Wire| {
            wire.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: first\n\n")?;
            released.lock().expect("no test panicked here").recv_timeout(WAIT)?;
            wire.write("data: second\n\n")?;
            wire.end()
        }
    })?;
    for origin in &origins {
        for version in VERSIONS {
            let mut curl =
                Curl::new(&gateway)?.args([version, "--no-buffer"]).start(&origin.url("/events"))?;
            curl.wait_line("data: first")?;
            release.send(())?;
            curl.wait_line("data: second")?;
            curl.succeed()?;
        }
    }
    Ok(())
}

/// Sends the test each piece of the content as it arrives, and answers at the end.
fn tell_pieces(told: Sender<Vec<u8>>) -> impl Fn(&Head, &mut Wire) -> Result<()> + Send + Sync + 'static {
    move |head, wire| {
        wire.read_content(head, |piece| drop(told.send(piece.to_vec())))?;
        wire.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\ndone\n")
    }
}

fn wait_pieces(told: &Receiver<Vec<u8>>, expected: &str) -> Result<()> {
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        seen.extend(told.recv_timeout(WAIT).with_context(|| format!("`{expected}` did not arrive"))?);
    }
    assert_eq!(String::from_utf8_lossy(&seen), expected);
    Ok(())
}

fn an_upload_arrives_before_the_request_has_ended(envoy: &EnvoyBinary) -> Result<()> {
    let (tell, told) = channel();
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || tell_pieces(tell.clone()))?;
    for (origin, version) in pairs(&origins) {
        let (mut curl, mut content) = Curl::new(&gateway)?
            .args([version, "--upload-file", ".", "--header", "expect:"])
            .start_with_content(&origin.url("/upload"))?;
        content.write_all(b"first")?;
        wait_pieces(&told, "first")?;
        content.write_all(b"second")?;
        wait_pieces(&told, "second")?;
        drop(content);
        curl.wait_line("done")?;
        curl.succeed()?;
    }
    Ok(())
}

/// Sends each piece of the content back as it arrives.
fn echo_content(head: &Head, wire: &mut Wire) -> Result<()> {
    let mut answer = wire.try_clone()?;
    answer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let mut written = Ok(());
    wire.read_content(head, |piece| {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        if written.is_ok() {
            written = answer.write(chunk);
        }
    })?;
    written?;
    answer.write("0\r\n\r\n")
}

fn both_directions_flow_at_once(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || echo_content)?;
    // curl reads no answer while it waits for more to send, so the bytes are written here.
    for (origin, front) in origins.iter().zip(fronts) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (mut wire, target) = connect(&gateway, &relay, origin, front)?;
        let authority = origin.authority();
        wire.write(format!(
            "POST {target} HTTP/1.1\r\nhost: {authority}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        ))?;
        let head = wire.expect_head().with_context(|| format!("{front:?}: {}", relay.stderr()))?;
        assert_eq!(head.start, "HTTP/1.1 200 OK", "{front:?}");
        assert_eq!(wire.read(10)?, b"5\r\nfirst\r\n", "{front:?}");
        wire.write("6\r\nsecond\r\n")?;
        assert_eq!(wire.read(11)?, b"6\r\nsecond\r\n", "{front:?}");
        wire.write("0\r\n\r\n")?;
        let mut rest = Vec::new();
        wire.read_content(&head, |piece| rest.extend_from_slice(piece))?;
        assert_eq!(rest, b"", "{front:?}");
    }
    Ok(())
}

/// Exchanges messages like a streaming call of gRPC: one message, its answer, the next message, and trailers at the end.
fn messages_take_turns_within_h2(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || echo_content)?;
    for (origin, front) in origins.iter().zip(OVER_TLS) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "h2")?;
        let mut http2 = Http2::open(relay.connect()?)?;
        http2.post(&origin.authority(), "/call")?;
        for turn in 0..5 {
            let text = format!("turn {turn}");
            http2.write(text.as_bytes())?;
            assert_eq!(http2.read(text.len())?, text.as_bytes(), "{front:?}: {}", relay.stderr());
        }
        http2.end()?;
        // The front that offers h2 adds a trailer.
        assert_eq!(http2.read_end()?, front == Front::Http2, "{front:?}: trailers");
    }
    Ok(())
}

/// A stream is silent for longer than the limits for a request, a handshake and a client's first bytes, in each protocol
/// of clients and upstreams. The module `idle` tests the longest silence.
fn an_event_arrives_after_a_long_silence(envoy: &EnvoyBinary) -> Result<()> {
    const SILENCE: Duration = Duration::from_secs(35);
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |_: &Head, wire: &mut Wire| {
            wire.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: first\n\n")?;
            // The sleep waits for no event: the test is about the passing of this time.
            thread::sleep(SILENCE);
            wire.write("data: second\n\n")?;
            wire.end()
        }
    })?;
    let curls = pairs(&origins).map(|(origin, version)| {
        let arguments = [version, "--no-buffer", "--max-time", "120"];
        Curl::new(&gateway)?.args(arguments).start(&origin.url("/events"))
    });
    let mut curls = curls.collect::<Result<Vec<_>>>()?;
    for curl in &mut curls {
        curl.wait_line("data: first")?;
    }
    for curl in &mut curls {
        curl.succeed_within(90)?;
        curl.wait_line("data: second")?;
    }
    Ok(())
}

/// The origin answers no request before all have arrived. A client that sent them one by one would wait for ever.
fn twenty_requests_go_at_once_over_one_connection(envoy: &EnvoyBinary) -> Result<()> {
    const COUNT: usize = 20;
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        let arrived = (Mutex::new(0), Condvar::new());
        move |_: &Head, wire: &mut Wire| {
            let mut count = arrived.0.lock().expect("no test panicked here");
            *count += 1;
            arrived.1.notify_all();
            let (count, waited) = arrived
                .1
                .wait_timeout_while(count, WAIT, |count| *count < COUNT)
                .expect("no test panicked here");
            ensure!(!waited.timed_out(), "only {count} requests at once");
            drop(count);
            wire.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\ndone\n")
        }
    })?;
    for origin in &origins {
        let arguments = ["--http2", "--parallel", "--parallel-max", "50", "--output", "/dev/null"];
        let written = ["--write-out", "%{http_code} %{http_version} %{num_connects}\\n"];
        // curl expands this URL to 20 URLs.
        let curl = Curl::new(&gateway)?.args(arguments).args(written);
        let mut curl = curl.start(&origin.url(&format!("/[1-{COUNT}]")))?;
        curl.succeed()?;
        let mut lines = curl.wait_lines(COUNT)?;
        lines.sort();
        let mut expected = vec!["200 2 0"; COUNT - 1];
        expected.push("200 2 1");
        assert_eq!(lines, expected);
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    an_event_arrives_while_the_response_is_open,
    an_upload_arrives_before_the_request_has_ended,
    both_directions_flow_at_once,
    messages_take_turns_within_h2,
    an_event_arrives_after_a_long_silence,
    twenty_requests_go_at_once_over_one_connection,
);
