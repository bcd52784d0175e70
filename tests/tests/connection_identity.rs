//! Servers that authenticate a connection (NTLM, Negotiate): no other client's request goes over it.

use anyhow::Result;
use e2e::{Client, EnvoyBinary, Front, Head, Origin, Request, Run, ServerOptions, UpstreamHosts, Wire};

use crate::transparent::{listeners, redirected};

/// Requests of a second client. Envoy has two workers, each with connections of its own.
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

/// The first client has what its connection was authenticated for, and the second one has nothing of it.
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
        // A client that comes in another way is another client.
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

on_oldest_and_newest_envoy!(
    a_connection_that_a_client_authenticated_serves_no_other_client,
    clients_of_plain_http_share_connections_to_an_upstream,
);
