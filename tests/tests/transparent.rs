//! The transparent listener: the filter judges a redirected connection by the names that it carries.
//! `command/redirect/ruleset.rs` redirects real connections; here clients dial the listener directly.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::Result;
use e2e::{
    ALPHA, BETA, Client, EnvoyBinary, INWARD, Request, Run, RunningGateway, ServerOptions, UNLISTED,
    UpstreamHosts, Wire,
};

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.transparent = listeners()?;
    Ok((hosts, run.start()?))
}

/// Returns a free port of each family.
pub(crate) fn listeners() -> Result<Vec<SocketAddr>> {
    let families = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    Ok(families
        .map(|family| TcpListener::bind(family)?.local_addr())
        .into_iter()
        .collect::<Result<_, _>>()?)
}

/// A curl client without a proxy, whose connections go to the listener.
pub(crate) fn redirected(gateway: &RunningGateway, listener: SocketAddr) -> Client {
    Client::direct().trusting(gateway.authority()).connecting_to(listener.to_string())
}

fn redirected_hosts_answer_in_both_families(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let urls = [hosts.url(ALPHA, "/"), hosts.url(BETA, "/"), hosts.plain_url(ALPHA, "/")];
    for (family, listener) in gateway.run().transparent.iter().enumerate() {
        for (index, url) in urls.iter().enumerate() {
            let response = redirected(&gateway, *listener).get(url)?;
            assert_eq!(response.status, 200, "{url}: {response:#?}");
            let decision = &gateway.decisions(family * urls.len() + index + 1)?[family * urls.len() + index];
            assert_eq!((decision.effect.as_str(), decision.listener.as_str()), ("allow", "weir_transparent"));
            assert_eq!(decision.client.map(|client| client.ip()), Some(listener.ip()));
        }
    }
    assert_eq!(hosts.nginx.wait_served(6)?[1].sni, BETA);
    Ok(())
}

fn what_is_not_allowed_is_refused_as_through_the_proxy(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let client = redirected(&gateway, gateway.run().transparent[0]);
    let address = Request::get(hosts.url("127.0.0.1", "/")).header(format!("Host: {ALPHA}:{}", hosts.port()));
    let refused = [
        (client.clone(), Request::get(hosts.url(ALPHA, "/")).method("POST"), 403, "method_not_allowed"),
        (
            client.clone(),
            Request::get(hosts.url(ALPHA, "/")).header(format!("Host: {BETA}:{}", hosts.port())),
            421,
            "sni_mismatch",
        ),
        // For an address in the URL, curl sends no server name.
        (client.clone().insecure(), address, 421, "missing_sni"),
        (client.clone(), Request::get(hosts.plain_url(UNLISTED, "/")), 403, "host_not_allowed"),
        (client.clone(), Request::get(hosts.url(INWARD, "/")), 403, "address_not_allowed"),
    ];
    for (index, (client, request, status, reason)) in refused.into_iter().enumerate() {
        let response = client.send(&request)?;
        let answer = (response.status, response.header("x-weir-decision"));
        assert_eq!(answer, (status, Some(reason)), "{response:#?}");
        assert_eq!(gateway.decisions(index + 1)?[index].reason, reason);
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn an_unlisted_name_over_tls_gives_nothing(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let response = redirected(&gateway, gateway.run().transparent[0]).get(hosts.url(UNLISTED, "/"))?;
    if envoy.version.as_str() >= "1.37" {
        let answer = (response.status, response.header("x-weir-decision"));
        assert_eq!(answer, (403, Some("host_not_allowed")), "{response:#?}");
    } else {
        // This Envoy has no certificate for the name: the client gets another name's, and there was no CONNECT to deny.
        assert_eq!((response.exit_code, response.status), (60, 0), "{response:#?}");
    }
    assert_eq!(hosts.nginx.served()?, []);
    assert_eq!(hosts.dns.queries(UNLISTED), 0);
    Ok(())
}

fn the_transparent_listener_is_no_proxy(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let mut wire = Wire::connect(gateway.run().transparent[0])?;
    let target = format!("{ALPHA}:{}", hosts.port());
    wire.write(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"))?;
    assert_eq!(wire.expect_head()?.header("x-weir-decision"), Some("invalid_method"));
    assert_eq!(gateway.only_decision()?.effect, "deny");
    Ok(())
}

fn what_is_neither_tls_nor_http_is_closed(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    for bytes in [b"SSH-2.0-client\r\n".as_slice(), b"\0\x01\x02\x03\r\n", b"EHLO example.com\r\n"] {
        let mut wire = Wire::connect(gateway.run().transparent[0])?;
        wire.write(bytes)?;
        let answer = wire.read_to_end()?;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn a_name_that_leads_to_the_transparent_listener_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let listeners = listeners()?;
    let port = listeners[0].port();
    let policy = format!(
        "rules: [{{id: r, effect: allow, hosts: [{INWARD}], ports: [{port}], schemes: [http], \
         addresses: [127.0.0.0/8]}}]"
    );
    let mut run = Run::new(envoy, &hosts, &policy)?;
    run.transparent = listeners;
    let gateway = run.start()?;
    let response = gateway.client().get(format!("http://{INWARD}:{port}/"))?;
    assert_eq!(response.header("x-weir-decision"), Some("address_not_allowed"), "{response:#?}");
    Ok(())
}

on_oldest_and_newest_envoy!(
    redirected_hosts_answer_in_both_families,
    what_is_not_allowed_is_refused_as_through_the_proxy,
    an_unlisted_name_over_tls_gives_nothing,
    the_transparent_listener_is_no_proxy,
    what_is_neither_tls_nor_http_is_closed,
    a_name_that_leads_to_the_transparent_listener_is_refused,
);
