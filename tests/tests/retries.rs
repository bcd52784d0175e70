//! Retries: Envoy repeats only requests that the upstream did not process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::Result;
use e2e::{
    ALPHA, EnvoyBinary, Front, Head, Origin, Request, Response, Run, RunningGateway, ServerOptions,
    UpstreamHosts, Wire,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;
const LARGE_WINDOW: u32 = 1 << 30;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

/// The server's end of an HTTP/2 connection.
struct Frames<'a>(&'a mut Wire);

impl<'a> Frames<'a> {
    /// Reads the rest of the preface, whose beginning was the head.
    fn open(wire: &'a mut Wire) -> Result<Self> {
        wire.read(6)?;
        let mut frames = Self(wire);
        let window = LARGE_WINDOW.to_be_bytes();
        frames.send(SETTINGS, 0, 0, &[&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window].concat())?;
        frames.send(WINDOW_UPDATE, 0, 0, &window)?;
        Ok(frames)
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) -> Result<()> {
        let [_, a, b, c] = u32::try_from(content.len())?.to_be_bytes();
        self.0.write([&[a, b, c, kind, flags], &stream.to_be_bytes()[..], content].concat())
    }

    /// Waits for the next stream that has arrived completely. Returns `None` when the client closes the connection.
    fn next_stream(&mut self) -> Option<u32> {
        loop {
            let head = self.0.read(9).ok()?;
            let [a, b, c, kind, flags, stream @ ..] = head.as_slice() else { return None };
            let (kind, flags) = (*kind, *flags);
            self.0.read(u32::from_be_bytes([0, *a, *b, *c]) as usize).ok()?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).ok()?,
                HEADERS | DATA if flags & END_STREAM != 0 => {
                    return Some(u32::from_be_bytes(stream.try_into().ok()?));
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, stream: u32) -> Result<()> {
        // `:status: 200` of HPACK's table (RFC 7541, appendix A).
        self.send(HEADERS, END_HEADERS, stream, &[0x88])?;
        self.send(DATA, END_STREAM, stream, b"yes")
    }
}

/// Starts an origin, and a gateway for it.
fn start(
    envoy: &EnvoyBinary,
    front: Front,
    answer: impl Fn(&Head, &mut Wire) -> Result<()> + Send + Sync + 'static,
) -> Result<(UpstreamHosts, Origin, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, front, answer)?;
    let gateway = Origin::gateway(envoy, &hosts, &[&origin])?;
    Ok((hosts, origin, gateway))
}

fn post(url: String, content: &str) -> Request {
    Request { content: Some(content.to_owned()), ..Request::get(url).method("POST") }
}

fn assert_status(responses: &[Response], status: u16) {
    for response in responses {
        assert_eq!(response.status, status, "{response:#?}");
    }
}

fn a_refused_stream_is_sent_again_whatever_its_method(envoy: &EnvoyBinary) -> Result<()> {
    let streams = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&streams);
    let (_hosts, origin, gateway) = start(envoy, Front::Frames, move |_, wire| {
        let mut frames = Frames::open(wire)?;
        while let Some(stream) = frames.next_stream() {
            if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                frames.send(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes())?;
            } else {
                frames.answer(stream)?;
            }
        }
        Ok(())
    })?;
    let requests = [
        Request::get(origin.url("/")),
        post(origin.url("/"), "x"),
        post(origin.url("/"), &"x".repeat(60_000)),
    ];
    assert_status(&gateway.client().send_all(&requests)?, 200);
    assert_eq!(streams.load(Ordering::SeqCst), 6);
    // Envoy forwards content above the bound as it arrives, and keeps none of it.
    let response = gateway.client().send(&post(origin.url("/"), &"x".repeat(120_000)))?;
    assert_eq!((response.status, response.header("x-weir-decision")), (503, Some("upstream_unreachable")));
    assert_eq!(streams.load(Ordering::SeqCst), 7);
    let attempts: Vec<_> = gateway.decisions(4)?.iter().map(|decision| decision.attempts).collect();
    assert_eq!(attempts, [2, 2, 2, 1]);
    Ok(())
}

fn a_stream_above_the_last_one_of_a_goaway_is_sent_again(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, Front::Frames, |_, wire| {
        let mut frames = Frames::open(wire)?;
        let mut last = 0_u32;
        while let Some(stream) = frames.next_stream() {
            if last > 0 {
                let no_error = 0_u32;
                frames.send(GOAWAY, 0, 0, &[last.to_be_bytes(), no_error.to_be_bytes()].concat())?;
                return frames.0.end();
            }
            last = stream;
            frames.answer(stream)?;
        }
        Ok(())
    })?;
    let requests = [Request::get(origin.url("/")), post(origin.url("/"), "x"), post(origin.url("/"), "x")];
    assert_status(&gateway.client().send_all(&requests)?, 200);
    let attempts: Vec<_> = gateway.decisions(3)?.iter().map(|decision| decision.attempts).collect();
    assert_eq!(attempts, [1, 2, 2]);
    Ok(())
}

fn a_server_that_closes_after_few_requests_answers_all_of_them(envoy: &EnvoyBinary) -> Result<()> {
    const CLIENTS: usize = 20;
    let options = ServerOptions { http2: true, requests_per_connection: 5, ..ServerOptions::default() };
    let hosts = UpstreamHosts::start(options)?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let requests = vec![Request::get(hosts.url(ALPHA, "/")); 5];
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| gateway.client().send_all(&requests))).collect();
        for client in clients {
            assert_status(&client.join().expect("no panic")?, 200);
        }
        anyhow::Ok(())
    })?;
    gateway.decisions(CLIENTS * requests.len())?;
    hosts.nginx.wait_served(CLIENTS * requests.len())?;
    Ok(())
}

/// Answers one request of each connection, and ends the connection when the next request arrives. `seen` gets the first
/// lines of all requests.
fn end_at_the_second_request(seen: &Mutex<Vec<String>>, first: &Head, wire: &mut Wire) -> Result<()> {
    seen.lock().expect("no panic").push(first.start.clone());
    wire.read_content(first, |_| {})?;
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    if let Some(second) = wire.read_head()? {
        seen.lock().expect("no panic").push(second.start);
    }
    wire.end()
}

fn an_idempotent_request_is_sent_again_when_its_connection_ends(envoy: &EnvoyBinary) -> Result<()> {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&seen);
    let (_hosts, origin, gateway) =
        start(envoy, Front::Plain, move |head, wire| end_at_the_second_request(&lines, head, wire))?;
    let requests = |method: &str, content: Option<&str>| -> Vec<_> {
        let request = |number| Request {
            content: content.map(str::to_owned),
            ..Request::get(origin.url(&format!("/{number}"))).method(method)
        };
        (0..6).map(request).collect()
    };
    for (number, (method, content)) in
        [("GET", None), ("HEAD", None), ("PUT", Some("x"))].into_iter().enumerate()
    {
        assert_status(&gateway.client().send_all(&requests(method, content))?, 200);
        let decisions = gateway.decisions(6 * (number + 1))?;
        let again = decisions.iter().filter(|it| it.method.as_deref() == Some(method) && it.attempts == 2);
        assert!(again.count() > 0, "{method}: {decisions:#?}");
    }
    // A server may have processed a POST, so Envoy never repeats it.
    let responses = gateway.client().send_all(&requests("POST", Some("x")))?;
    let failed: Vec<_> = responses.iter().filter(|response| response.status != 200).collect();
    assert!(!failed.is_empty(), "{responses:#?}");
    for response in failed {
        assert_eq!(
            (response.status, response.header("x-weir-decision")),
            (503, Some("upstream_unreachable"))
        );
    }
    let seen = seen.lock().expect("no panic");
    for number in 0..6 {
        let line = format!("POST /{number} HTTP/1.1");
        assert_eq!(seen.iter().filter(|seen| **seen == line).count(), 1, "{line}: {seen:#?}");
    }
    Ok(())
}

/// Envoy repeats a request once, and then reports its failure.
fn a_server_that_never_answers_sees_an_idempotent_request_twice(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, gateway) = start(envoy, Front::Plain, |_, wire| wire.end())?;
    let response = gateway.client().get(origin.url("/"))?;
    assert_eq!((response.status, response.header("x-weir-decision")), (503, Some("upstream_unreachable")));
    origin.wait_heads(2)?;
    let decision = gateway.only_decision()?;
    assert_eq!(decision.attempts, 2);
    assert_eq!(decision.cause.as_deref(), Some("it closed the connection before its answer was whole"));
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_refused_stream_is_sent_again_whatever_its_method,
    a_stream_above_the_last_one_of_a_goaway_is_sent_again,
    a_server_that_closes_after_few_requests_answers_all_of_them,
    an_idempotent_request_is_sent_again_when_its_connection_ends,
    a_server_that_never_answers_sees_an_idempotent_request_twice,
);
