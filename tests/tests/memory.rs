//! Bounds on the memory that a client can make Envoy hold. docs/running.md states the budget.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{
    ALPHA, Deadline, EnvoyBinary, Front, Head, ManyStreams, Origin, Run, RunningGateway, ServerOptions,
    TlsRelay, UpstreamHosts, Wire,
};

use crate::transparent::listeners;

pub(crate) const MIB: u64 = 1 << 20;
/// A host that no policy of these tests lists.
pub(crate) const DENIED: &str = "denied.weir.test";

/// Returns status and reason of a request for the unlisted host, over a new connection.
pub(crate) fn ask(gateway: &RunningGateway) -> Result<(String, Option<String>)> {
    let mut wire = Wire::connect(gateway.address()?)?;
    wire.write(format!("GET http://{DENIED}/ HTTP/1.1\r\nhost: {DENIED}\r\nconnection: close\r\n\r\n"))?;
    let head = wire.expect_head()?;
    let reason = head.header("x-weir-decision").map(str::to_owned);
    Ok((head.start, reason))
}

/// A client resets 40,000 requests at once, in 1 MB, on each kind of connection, twice. The test compares Envoy's peak
/// memory. (Without the bound: 800 MB, and five seconds of a worker, in which no other client got an answer.)
fn requests_that_are_taken_back_cost_little_and_stall_nobody(envoy: &EnvoyBinary) -> Result<()> {
    const REQUESTS: usize = 40_000;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.transparent = listeners()?;
    let gateway = run.start()?;
    let inside = TlsRelay::dial(&gateway, &hosts.authority(ALPHA), "h2")?;
    let process = gateway.envoy()?;
    let ways = [
        ("explicit", gateway.address()?, "http"),
        ("transparent", gateway.run().transparent[0], "http"),
        ("in a tunnel", inside.address(), "https"),
    ];
    for (way, address, scheme) in ways {
        for _ in 0..2 {
            let (before, worked_before) = (process.resident()?, process.cpu()?);
            let mut client = ManyStreams::open(Wire::connect(address)?, 65_535, scheme, DENIED, "/")?;
            client.request_and_take_back(REQUESTS)?;
            for _ in 0..8 {
                assert_eq!(ask(&gateway)?.1.as_deref(), Some("host_not_allowed"), "{way}");
            }
            // Other clients of the worker wait while it works for one client.
            let worked = process.cpu()? - worked_before;
            ensure!(worked < Duration::from_secs(1), "{way}: Envoy worked for {worked:?}");
            let peak = process.peak_memory()?;
            ensure!(peak < before + 32 * MIB, "{way}: grew from {before} to {peak}");
        }
    }
    Ok(())
}

/// Answers with more bytes than all buffers on the way hold, except for `/small`.
pub(crate) fn without_end(head: &Head, wire: &mut Wire) -> Result<()> {
    if head.start.contains(" /small ") {
        return wire.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsmall\n");
    }
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
    let piece = vec![b'x'; 1 << 16];
    // The test wants clients that go away, so an error here is expected.
    while wire.write(&piece).is_ok() {}
    wire.end()
}

/// Returns the size of Envoy's heap when it has stopped growing.
pub(crate) fn settled_heap(gateway: &RunningGateway) -> Result<u64> {
    let (mut most, mut same) = (0, 0);
    Deadline::seconds(20).poll("a heap that grows no more", || {
        let heap = gateway.envoy_heap()?;
        same = if heap > most + MIB / 4 { 0 } else { same + 1 };
        most = most.max(heap);
        Ok((same >= 15).then_some(heap))
    })
}

/// Opens a connection that requests `/` and reads nothing.
pub(crate) fn ask_and_read_nothing(mut wire: Wire, target: &str, authority: &str) -> Result<Wire> {
    wire.write(format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))?;
    Ok(wire)
}

/// (Without the bound: 1.3 MB for each in plain HTTP, and 4.1 MB in a tunnel.)
fn an_answer_that_nobody_reads_costs_no_more_than_its_budget(envoy: &EnvoyBinary) -> Result<()> {
    const CLIENTS: u64 = 40;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origins =
        [Front::Plain, Front::Http1, Front::Http2].map(|front| Origin::start(&hosts, front, without_end));
    let origins: Vec<_> = origins.into_iter().collect::<Result<_>>()?;
    let gateway = Origin::gateway(envoy, &hosts, &origins.iter().collect::<Vec<_>>())?;
    for (origin, budget) in origins.iter().zip([MIB / 2, MIB, 6 * MIB]) {
        let before = settled_heap(&gateway)?;
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (address, target) = match origin.url("/") {
            url if url.starts_with("http:") => (gateway.address()?, url),
            _ => (relay.address(), "/".to_owned()),
        };
        let clients = (0..CLIENTS)
            .map(|_| ask_and_read_nothing(Wire::connect(address)?, &target, &origin.authority()))
            .collect::<Result<Vec<_>>>()?;
        let grown = settled_heap(&gateway)?.saturating_sub(before);
        ensure!(grown < CLIENTS * budget, "{}: {} bytes for each", origin.url("/"), grown / CLIENTS);
        drop(clients);
    }
    Ok(())
}

on_each_envoy!(
    requests_that_are_taken_back_cost_little_and_stall_nobody,
    an_answer_that_nobody_reads_costs_no_more_than_its_budget,
);
