//! Servers that authenticate a connection (NTLM, Negotiate): Envoy sends no other client's request over it.

use anyhow::{Result, ensure};
use e2e::{
    Client, Deadline, EnvoyBinary, Front, Head, Origin, Request, Run, ServerOptions, UpstreamHosts, Wire,
};

use weir::envoy::capacity::Capacity;
use weir::local_gateway::envoy::workers;

use crate::transparent::{listeners, redirected};

/// The number of a second client's requests. Envoy has two workers, each with connections of its own.
const REQUESTS: usize = 12;

/// Answers each request of a connection with the last credentials that the connection has seen.
fn authenticate_the_connection(first: &Head, wire: &mut Wire) -> Result<()> {
    let mut user = "nobody".to_owned();
    let mut next = Some(first.clone());
    while let Some(head) = next {
        if let Some(credentials) = head.header("authorization") {
            user = credentials.to_owned();
        }
        wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{user}", user.len()))?;
        next = if wire.wait_readable()? { wire.read_head()? } else { None };
    }
    Ok(())
}

/// The first client gets answers as the user that its connection authenticated, and the second client never does.
fn assert_apart(first: &Client, second: &Client, url: &str) -> Result<()> {
    for scheme in ["NTLM", "Negotiate"] {
        let credentials = format!("{scheme} first");
        let requests = [Request::get(url).header(format!("Authorization: {credentials}")), Request::get(url)];
        for response in first.send_all(&requests)? {
            assert_eq!((response.status, response.content.as_str()), (200, credentials.as_str()), "{url}");
        }
        for _ in 0..REQUESTS {
            let response = second.get(url)?;
            assert_eq!((response.status, response.content.as_str()), (200, "nobody"), "{url}: {scheme}");
        }
    }
    Ok(())
}

fn a_connection_that_a_client_authenticated_serves_no_other_client(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let plain = Origin::start(&hosts, Front::Plain, authenticate_the_connection)?;
    let tls = Origin::start(&hosts, Front::Http1, authenticate_the_connection)?;
    let mut run = Run::new(envoy, &hosts, &format!("rules:\n{}{}", plain.rule(), tls.rule()))?;
    run.transparent = listeners()?;
    let gateway = run.start()?;
    let through_listener = redirected(&gateway, gateway.run().transparent[0]);
    for origin in [&plain, &tls] {
        for client in [gateway.client(), through_listener.clone()] {
            assert_apart(&client, &client, &origin.url("/"))?;
        }
        // A connection to another listener is another client.
        assert_apart(&gateway.client(), &through_listener, &origin.url("/"))?;
    }
    Ok(())
}

fn clients_of_plain_http_share_connections_to_an_upstream(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Plain, authenticate_the_connection)?;
    let gateway = Origin::gateway(envoy, &hosts, &[&origin])?;
    for _ in 0..REQUESTS {
        assert_eq!(gateway.client().get(origin.url("/"))?.content, "nobody");
    }
    let opened = gateway.envoy_stat("cluster.dynamic_forward_proxy_cluster_http.upstream_cx_total")?;
    assert!((1..=4).contains(&opened), "{opened} connections for {REQUESTS} clients on at most four workers");
    Ok(())
}

/// Each client connects, authenticates and disconnects. Its upstream connection stays until Envoy's idle timeout.
fn clients_that_have_gone_leave_a_bounded_number_of_upstream_connections(envoy: &EnvoyBinary) -> Result<()> {
    const OPEN_FILES: u64 = 256;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let attacked = Origin::start(&hosts, Front::Plain, authenticate_the_connection)?;
    let other = Origin::start(&hosts, Front::Plain, authenticate_the_connection)?;
    let mut run = Run::new(envoy, &hosts, &format!("rules:\n{}{}", attacked.rule(), other.rule()))?;
    run.open_files = Some((OPEN_FILES, OPEN_FILES));
    let gateway = run.start()?;
    let pools = u64::from(Capacity::new(OPEN_FILES, workers(), 0).separate_pools) * u64::try_from(workers())?;
    let client = gateway.client();
    let request = Request::get(attacked.url("/")).header("Authorization: NTLM x");
    let mut refused = 0;
    for _ in 0..8 * pools {
        let response = client.send(&request)?;
        if response.status == 503 {
            let body = response.json()?;
            assert_eq!(
                (&body["reason"], &body["error"]["type"]),
                (&"overloaded".into(), &"upstream_failure".into())
            );
            refused += 1;
        } else {
            assert_eq!((response.status, response.content.as_str()), (200, "NTLM x"));
        }
    }
    ensure!(refused > 0, "every client got an upstream connection of its own");
    let open = gateway.envoy_stat("cluster.dynamic_forward_proxy_cluster_http.upstream_cx_active")?;
    assert!((1..=pools).contains(&open), "{open} upstream connections are open, of {pools}");
    for origin in [&attacked, &other] {
        assert_eq!(client.get(origin.url("/"))?.content, "nobody");
    }
    Deadline::seconds(120).poll("an upstream connection for another client", || {
        Ok((client.send(&request)?.status == 200).then_some(()))
    })
}

on_oldest_and_newest_envoy!(
    a_connection_that_a_client_authenticated_serves_no_other_client,
    clients_of_plain_http_share_connections_to_an_upstream,
    clients_that_have_gone_leave_a_bounded_number_of_upstream_connections,
);
