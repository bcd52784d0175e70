//! Streams live through interception: bytes go on as they come, in both directions and both versions of HTTP.

mod curl;
mod grpc;
mod pattern;
mod websocket;

use std::fs;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    EnvoyBinary, Front, Head, Http2, Origin, Request, RunningGateway, ServerOptions, TlsRelay, UpstreamHosts,
    Wire,
};
use tempfile::TempDir;

use curl::Curl;
use pattern::Pattern;

/// How long a test waits for what must come.
const WAIT: Duration = Duration::from_secs(20);
const MIB: u64 = 1 << 20;
const OVER_TLS: [Front; 2] = [Front::Http1, Front::Http2];
const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

/// One origin behind each of these fronts, and a gateway that allows them.
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

/// Each origin with each version of HTTP that curl can ask for.
fn pairs(origins: &[Origin]) -> impl Iterator<Item = (&Origin, &'static str)> {
    origins.iter().flat_map(|origin| VERSIONS.map(|version| (origin, version)))
}

/// A connection whose bytes the test writes itself, and the target that it asks for `/` with.
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

/// Tells the test each piece of the content as it comes, and answers at the end.
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

/// Sends each piece of the content back as it comes.
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

/// What a streaming call of gRPC does: one message, its answer, the next message, and trailers at the end.
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

fn sixty_four_mebibytes_come_down_byte_for_byte(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        |_: &Head, wire: &mut Wire| {
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 64 * MIB))?;
            Pattern::new(64 * MIB).try_for_each(|block| wire.write(block))
        }
    })?;
    let folder = TempDir::new()?;
    for (origin, version) in pairs(&origins) {
        let file = folder.path().join("content");
        let arguments = [version, "--output", file.to_str().context("the path is not UTF-8")?];
        Curl::new(&gateway)?.args(arguments).start(&origin.url("/"))?.succeed()?;
        let content = fs::read(&file)?;
        assert_eq!(content.len() as u64, 64 * MIB);
        assert!(content.chunks(pattern::BLOCK).eq(Pattern::new(64 * MIB)), "{version}: other bytes");
    }
    Ok(())
}

fn sixty_four_mebibytes_go_up_byte_for_byte(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        |head: &Head, wire: &mut Wire| {
            let mut content = Vec::new();
            wire.read_content(head, |piece| content.extend_from_slice(piece))?;
            let same = content.chunks(pattern::BLOCK).eq(Pattern::new(64 * MIB));
            let said = format!("{} bytes, {}\n", content.len(), if same { "the same" } else { "others" });
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len()))
        }
    })?;
    let folder = TempDir::new()?;
    let file = folder.path().join("content");
    fs::write(&file, Pattern::new(64 * MIB).flatten().collect::<Vec<u8>>())?;
    for (origin, version) in pairs(&origins) {
        let arguments = [version, "--upload-file", file.to_str().context("the path is not UTF-8")?];
        let mut curl = Curl::new(&gateway)?.args(arguments).start(&origin.url("/"))?;
        curl.wait_line(&format!("{} bytes, the same", 64 * MIB))?;
        curl.succeed()?;
    }
    Ok(())
}

fn a_gibibyte_each_way_takes_little_memory(envoy: &EnvoyBinary) -> Result<()> {
    const LENGTH: u64 = 1024 * MIB;
    const MOST: u64 = 32 * MIB;
    let (_hosts, origins, gateway) = start(envoy, &OVER_TLS, || {
        |head: &Head, wire: &mut Wire| {
            let mut length = 0;
            wire.read_content(head, |piece| length += piece.len() as u64)?;
            if length == LENGTH {
                return wire.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"))?;
            Pattern::new(LENGTH).try_for_each(|block| wire.write(block))
        }
    })?;
    let folder = TempDir::new()?;
    let file = folder.path().join("content");
    // It takes no place on the disk.
    fs::File::create(&file)?.set_len(LENGTH)?;
    let id = gateway.envoy()?;
    for (origin, version) in origins.iter().zip(VERSIONS) {
        let before = id.peak_memory()?;
        let upload =
            ["--upload-file", file.to_str().context("the path is not UTF-8")?, "--header", "expect:"];
        for (upload, up, down) in [(upload.as_slice(), LENGTH, 0), (&[], 0, LENGTH)] {
            let said = ["--output", "/dev/null", "--write-out", "%{size_upload} %{size_download}\\n"];
            let curl = Curl::new(&gateway)?.args([version, "--max-time", "300"]);
            let mut curl = curl.args(said).args(upload.iter().copied()).start(&origin.url("/"))?;
            curl.succeed_within(300)?;
            curl.wait_line(&format!("{up} {down}"))?;
        }
        let grown = id.peak_memory()?.saturating_sub(before);
        assert!(grown < MOST, "{version}: {} MiB more", grown / MIB);
    }
    Ok(())
}

/// A stream is silent for longer than a request, a handshake or a client's first bytes may take, whatever the clients
/// and the upstreams speak. How long it may be silent at most is held in `idle`.
fn an_event_arrives_after_a_long_silence(envoy: &EnvoyBinary) -> Result<()> {
    const SILENCE: Duration = Duration::from_secs(35);
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |_: &Head, wire: &mut Wire| {
            wire.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: first\n\n")?;
            // Not a wait for something: the passing of this time is what is tested.
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

fn a_client_that_expects_to_be_told_to_continue_is_told(envoy: &EnvoyBinary) -> Result<()> {
    let (tell, told) = channel();
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http1], || {
        let answer = tell_pieces(tell.clone());
        move |head: &Head, wire: &mut Wire| {
            ensure!(head.header("expect") == Some("100-continue"), "no `Expect`: {head:#?}");
            wire.write("HTTP/1.1 100 Continue\r\n\r\n")?;
            answer(head, wire)
        }
    })?;
    for origin in &origins {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let mut wire = relay.connect()?;
        let authority = origin.authority();
        wire.write(format!(
            "PUT / HTTP/1.1\r\nhost: {authority}\r\nexpect: 100-continue\r\ncontent-length: 7\r\n\r\n"
        ))?;
        assert_eq!(wire.expect_head()?.start, "HTTP/1.1 100 Continue");
        wire.write("content")?;
        wait_pieces(&told, "content")?;
        assert_eq!(wire.expect_head()?.start, "HTTP/1.1 200 OK");
        assert_eq!(wire.read(5)?, b"done\n");
    }
    Ok(())
}

fn a_client_of_http_1_0_reads_the_content_to_the_end_of_the_connection(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |_: &Head, wire: &mut Wire| {
            wire.write(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
            )
        }
    })?;
    for (origin, front) in origins.iter().zip(fronts) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (mut wire, target) = connect(&gateway, &relay, origin, front)?;
        wire.write(format!("GET {target} HTTP/1.0\r\nhost: {}\r\n\r\n", origin.authority()))?;
        let head = wire.expect_head()?;
        assert!(head.start.ends_with(" 200 OK"), "{front:?}: {head:#?}");
        assert_eq!(head.header("transfer-encoding"), None, "{head:#?}");
        assert_eq!(wire.read_to_end()?, b"onetwo");
    }
    Ok(())
}

fn answers_without_content_leave_the_connection_in_step(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |head: &Head, wire: &mut Wire| match head.start.as_str() {
            "GET /204 HTTP/1.1" => wire.write("HTTP/1.1 204 No Content\r\nx-is: none\r\n\r\n"),
            "GET /304 HTTP/1.1" => wire.write("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n"),
            "HEAD / HTTP/1.1" => wire.write("HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n"),
            "GET / HTTP/1.1" => wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes"),
            other => bail!("not expected: {other}"),
        }
    })?;
    for origin in &origins {
        let requests = [
            Request::get(origin.url("/")).method("HEAD"),
            Request::get(origin.url("/204")),
            Request::get(origin.url("/304")).header("if-none-match: \"a\""),
            Request::get(origin.url("/")),
        ];
        for requests in [requests.clone(), requests.map(Request::http2)] {
            let responses = gateway.client().send_all(&requests)?;
            let seen: Vec<_> = responses.iter().map(|it| (it.status, it.connections, it.exit_code)).collect();
            assert_eq!(seen, [(200, 1, 0), (204, 0, 0), (304, 0, 0), (200, 0, 0)], "{responses:#?}");
            assert_eq!(responses[0].header("content-length"), Some("12345"));
            assert_eq!(responses[1].header("content-length"), None);
            assert_eq!(responses[2].header("etag"), Some("\"a\""));
            assert_eq!(responses[3].content, "yes");
        }
    }
    Ok(())
}

fn trailers_arrive_over_h2(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http2], || {
        |head: &Head, wire: &mut Wire| {
            // What gRPC asks every proxy to pass on.
            ensure!(head.header("te") == Some("trailers"), "no `te: trailers`: {head:#?}");
            wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndone\n\r\n0\r\n\r\n")
        }
    })?;
    let curl = Curl::new(&gateway)?.args(["--http2", "--header", "te: trailers", "--include"]);
    let mut curl = curl.start(&origins[0].url("/"))?;
    curl.wait_line("done")?;
    // curl writes trailers behind the content, as it does headers before it.
    curl.wait_line("x-front-trailer: end")?;
    curl.succeed()
}

fn trailers_arrive_over_http_1(envoy: &EnvoyBinary) -> Result<()> {
    let (tell, told) = channel();
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http1], || {
        let tell = tell.clone();
        move |head: &Head, wire: &mut Wire| {
            tell.send(wire.read_content(head, |_| {})?)?;
            wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")?;
            wire.write("3\r\nyes\r\n0\r\nx-sum: answered\r\n\r\n")
        }
    })?;
    let relay = TlsRelay::dial(&gateway, &origins[0].authority(), "http/1.1")?;
    let mut wire = relay.connect()?;
    let authority = origins[0].authority();
    wire.write(format!(
        "POST / HTTP/1.1\r\nhost: {authority}\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\nyes\r\n0\r\nx-sum: asked\r\n\r\n"
    ))?;
    let head = wire.expect_head()?;
    assert_eq!(head.start, "HTTP/1.1 200 OK");
    assert_eq!(wire.read_content(&head, |_| {})?, ["x-sum: answered"]);
    assert_eq!(told.recv_timeout(WAIT)?, ["x-sum: asked"]);
    Ok(())
}

/// No request is answered before all have come: one that waited for another would wait for ever.
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
        // curl itself makes 20 URLs out of this one.
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
    sixty_four_mebibytes_come_down_byte_for_byte,
    sixty_four_mebibytes_go_up_byte_for_byte,
    an_event_arrives_after_a_long_silence,
    a_client_that_expects_to_be_told_to_continue_is_told,
    a_client_of_http_1_0_reads_the_content_to_the_end_of_the_connection,
    answers_without_content_leave_the_connection_in_step,
    trailers_arrive_over_h2,
    trailers_arrive_over_http_1,
    twenty_requests_go_at_once_over_one_connection,
);
mod gibibyte {
    use super::a_gibibyte_each_way_takes_little_memory;

    on_newest_envoy!(a_gibibyte_each_way_takes_little_memory);
}
