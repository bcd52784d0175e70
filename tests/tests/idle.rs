//! Idle timeouts of connections, tunnels and streams. The times are short here: each test waits until one ends, and
//! looks at the others.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{EnvoyBinary, Front, Head, Origin, ServerOptions, UpstreamHosts, Wire};
use weir::envoy::resources::timeouts::Timeouts;

use crate::served_envoy::{Options, ServedEnvoy};

const SHORT: Timeouts = Timeouts { connection: Duration::from_secs(2), stream: Duration::from_secs(8) };

/// Starts an origin that answers when the test releases it, or never, and a gateway with these timeouts.
fn start(
    envoy: &EnvoyBinary,
    timeouts: Timeouts,
) -> Result<(UpstreamHosts, Origin, ServedEnvoy, Sender<()>)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let (release, released) = channel();
    let released = Arc::new(Mutex::new(released));
    let origin = Origin::start(&hosts, Front::Plain, move |head: &Head, wire: &mut Wire| {
        if head.start.contains("/slow") {
            // The channel closes when the test ends.
            released.lock().expect("no test panicked here").recv().ok();
        }
        wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes")
    })?;
    let options = Options { policy: format!("rules:\n{}", origin.rule()), timeouts, ..Options::new(&hosts)? };
    let mut served = ServedEnvoy::start(envoy, &hosts, options)?;
    served.wait_until_ready()?;
    Ok((hosts, origin, served, release))
}

/// Opens a tunnel to the origin, without a byte inside.
fn tunnel(served: &ServedEnvoy, origin: &Origin) -> Result<Wire> {
    let mut wire = Wire::connect(served.address())?;
    let authority = origin.authority();
    wire.write(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))?;
    assert_eq!(wire.expect_head()?.start, "HTTP/1.1 200 OK");
    Ok(wire)
}

fn ask(wire: &mut Wire, origin: &Origin, path: &str) -> Result<()> {
    wire.write(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", origin.authority()))
}

fn a_connection_or_tunnel_without_a_request_ends(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, served, _release) = start(envoy, SHORT)?;
    let mut silent = Wire::connect(served.address())?;
    let mut used = Wire::connect(served.address())?;
    ask(&mut used, &origin, "/")?;
    let mut inside = tunnel(&served, &origin)?;
    ask(&mut inside, &origin, "/")?;
    for wire in [&mut used, &mut inside] {
        let head = wire.expect_head()?;
        wire.read_content(&head, |_| {})?;
    }
    let mut unused = tunnel(&served, &origin)?;
    for (wire, what) in [
        (&mut silent, "a silent connection"),
        (&mut used, "a used connection"),
        (&mut inside, "a used tunnel"),
        (&mut unused, "a silent tunnel"),
    ] {
        assert_eq!(wire.read_to_end().context(what)?, b"", "{what}");
    }
    Ok(())
}

/// A stream may be silent for longer than a connection without streams may be idle.
fn a_stream_outlives_the_silence_of_a_connection(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origin, served, release) = start(envoy, SHORT)?;
    let mut direct = Wire::connect(served.address())?;
    let mut inside = tunnel(&served, &origin)?;
    for wire in [&mut direct, &mut inside] {
        ask(wire, &origin, "/slow")?;
    }
    // Both streams have been silent for this long and stay open, when a connection without a stream ends.
    let mut silent = Wire::connect(served.address())?;
    assert_eq!(silent.read_to_end()?, b"");
    for _ in 0..2 {
        release.send(())?;
    }
    for wire in [&mut direct, &mut inside] {
        assert_eq!(wire.expect_head()?.start, "HTTP/1.1 200 OK");
    }
    Ok(())
}

/// The client gets an answer, and its tunnel outlives the request.
fn a_stream_that_is_silent_for_too_long_ends(envoy: &EnvoyBinary) -> Result<()> {
    let times = Timeouts { connection: Duration::from_secs(3), stream: Duration::from_secs(3) };
    let (_hosts, origin, served, _release) = start(envoy, times)?;
    let wires = [Wire::connect(served.address())?, tunnel(&served, &origin)?];
    let asked = wires
        .map(|mut wire| ask(&mut wire, &origin, "/slow").map(|()| thread::spawn(move || wire.expect_head())));
    for answered in asked {
        let head = answered?.join().expect("no test panicked here")?;
        ensure!(head.start == "HTTP/1.1 504 Gateway Timeout", "{head:#?}");
        assert_eq!(head.header("x-weir-decision"), Some("upstream_unreachable"));
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_connection_or_tunnel_without_a_request_ends,
    a_stream_outlives_the_silence_of_a_connection,
    a_stream_that_is_silent_for_too_long_ends,
);
