//! Many clients at once, and an Envoy that is short of memory: no client stalls the others, and Envoy reports the work
//! that it refuses.

use anyhow::{Context, Result, ensure};
use e2e::{
    Deadline, EnvoyBinary, Front, ManyStreams, Origin, Run, RunningGateway, ServerOptions, TlsRelay,
    UpstreamHosts, Wire,
};

use crate::memory::{DENIED, MIB, ask, ask_and_read_nothing, settled_heap, without_end};

/// The bounds against floods do not slow a client that stays within them: Envoy ends no connection.
fn a_hundred_requests_at_once_are_answered_for_as_long_as_a_client_asks(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let mut client = ManyStreams::open(Wire::connect(gateway.address()?)?, 65_535, "http", DENIED, "/")?;
    for _ in 0..20 {
        client.request(100)?;
        client.wait_answers(100)?;
    }
    Ok(())
}

/// The window of a connection to an upstream is larger than the windows of all its streams. (Before: two clients that
/// read nothing held the whole window, and no other client of the host got an answer.)
fn clients_that_read_nothing_do_not_stall_others_of_the_host(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Http2, without_end)?;
    let gateway = Origin::gateway(envoy, &hosts, &[&origin])?;
    let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(ask_and_read_nothing(relay.connect()?, "/", &origin.authority())?);
    }
    settled_heap(&gateway)?;
    // There are several connections, so that some share a worker with the others.
    for _ in 0..6 {
        let response = gateway.client().get(origin.url("/small"))?;
        assert_eq!((response.status, response.content.as_str()), (200, "small\n"));
    }
    Ok(())
}

/// Opens a connection that reads nothing of a hundred answers.
fn hold_a_hundred_answers(gateway: &RunningGateway) -> Result<ManyStreams> {
    let mut client = ManyStreams::open(Wire::connect(gateway.address()?)?, 0, "http", DENIED, "/")?;
    client.request(100)?;
    Ok(client)
}

/// An answer that the client does not read holds a stream's memory. Near its limit, Envoy refuses new requests with
/// Weir's reason, reports this, and continues when memory is free again.
fn an_envoy_that_is_short_of_memory_says_so_and_recovers(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.envoy_memory = Some("64M");
    let gateway = run.start()?;
    // The test opens this connection early: nearer to the limit, Envoy closes new connections without an answer.
    let mut asking = Wire::connect(gateway.address()?)?;
    let mut clients = Vec::new();
    let refused = Deadline::seconds(60).poll("a refusal", || {
        ensure!(gateway.envoy_heap()? < 100 * MIB, "the heap has grown beyond its limit");
        if clients.len() < 60 {
            clients.extend(hold_a_hundred_answers(&gateway).ok());
        }
        asking.write(format!("GET http://{DENIED}/ HTTP/1.1\r\nhost: {DENIED}\r\n\r\n"))?;
        let head = asking.expect_head()?;
        let mut content = Vec::new();
        asking.read_content(&head, |piece| content.extend_from_slice(piece))?;
        Ok((!head.start.contains(" 403 ")).then_some((head, content)))
    })?;
    let (head, content) = refused;
    assert_eq!(head.start, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(head.header("x-weir-decision"), Some("overloaded"));
    let body: serde_json::Value = serde_json::from_slice(&content)?;
    assert_eq!((&body["error"]["type"], &body["reason"]), (&"upstream_failure".into(), &"overloaded".into()));
    Deadline::seconds(20).poll("a word of it", || {
        Ok(gateway.stderr().contains("requests refused: Envoy is short of memory").then_some(()))
    })?;
    Deadline::seconds(20).poll("a line of the decision log", || {
        Ok(gateway.stdout().contains(r#""reason":"overloaded""#).then_some(()))
    })?;
    drop(clients);
    // Until memory is free, Envoy may close a new connection.
    let answers = || {
        let answer = ask(&gateway).ok();
        Ok(answer.filter(|(_, reason)| reason.as_deref() == Some("host_not_allowed")).map(|_| ()))
    };
    Deadline::seconds(30).poll("an answer of the filter", answers).context("it did not recover")
}

on_oldest_and_newest_envoy!(
    a_hundred_requests_at_once_are_answered_for_as_long_as_a_client_asks,
    clients_that_read_nothing_do_not_stall_others_of_the_host,
    an_envoy_that_is_short_of_memory_says_so_and_recovers,
);
