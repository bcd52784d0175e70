//! `tls: passthrough`: TLS goes through unopened, to the host of its server name and to no other.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use e2e::{ALPHA, BETA, Client, EnvoyBinary, Gateway, INWARD, Run, ServerOptions, UNLISTED, UpstreamHosts};
use tempfile::TempDir;

/// Alpha and the inward host are passed through, beta is opened.
fn policy(hosts: &UpstreamHosts) -> String {
    let port = hosts.port();
    format!(
        "rules:
  - {{id: pinned, effect: allow, hosts: [{ALPHA}], tls: passthrough, ports: [{port}], addresses: [127.0.0.1/32]}}
  - {{id: inward, effect: allow, hosts: ['*.{INWARD}'], tls: passthrough, ports: [{port}]}}
  - {{id: opened, effect: allow, hosts: [{BETA}], ports: [{port}], addresses: [127.0.0.1/32]}}
"
    )
}

fn start(envoy: &EnvoyBinary, options: ServerOptions) -> Result<(UpstreamHosts, Gateway)> {
    let hosts = UpstreamHosts::start(options)?;
    let mut run = Run::new(envoy, &hosts, &policy(&hosts))?;
    // Weir itself verifies nothing here: it does not know the pinned host's root.
    run.upstream_ca = None;
    Ok((hosts, run.start()?))
}

/// A client that trusts the hosts' own roots alone, and Weir's not.
fn pinned(hosts: &UpstreamHosts, gateway: &Gateway) -> Client {
    Client::through(gateway.proxy()).trusting(&hosts.roots())
}

fn a_pinned_client_gets_through(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, ServerOptions::default())?;
    // The second time the name is in Envoy's cache.
    for count in 1..=2 {
        let response = pinned(&hosts, &gateway).get(hosts.url(ALPHA, "/any/path"))?;
        assert_eq!(
            (response.status, response.content),
            (200, format!("{ALPHA} says hello\n")),
            "{}",
            response.error
        );
        let decision = &gateway.decisions(count)?[count - 1];
        assert_eq!(
            (decision.effect.as_str(), decision.reason.as_str()),
            ("allow", "allowed"),
            "{decision:#?}"
        );
        assert_eq!(decision.rule.as_deref(), Some("pinned"));
        assert_eq!((decision.host.as_deref(), decision.port), (Some(ALPHA), Some(hosts.port())));
        assert_eq!(decision.upstream_address.as_deref(), Some(hosts.nginx.address().to_string().as_str()));
        assert_eq!(decision.listener, "weir_passthrough");
        assert_eq!(decision.client.map(|client| client.ip()), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    assert_eq!(hosts.nginx.wait_served(2)?[0].sni, ALPHA);
    // Whoever is opened sees Weir's certificate.
    let opened = pinned(&hosts, &gateway).get(hosts.url(BETA, "/"))?;
    assert_eq!((opened.exit_code, opened.status), (60, 0), "{opened:#?}");
    Ok(())
}

fn a_clients_own_certificate_reaches_the_host(envoy: &EnvoyBinary) -> Result<()> {
    let options = ServerOptions { client_certificate: true, ..ServerOptions::default() };
    let (hosts, gateway) = start(envoy, options)?;
    let folder = TempDir::new()?;
    let certificate = hosts.beta_authority.issue(&["guest.weir.test"])?;
    let (chain, key) = (folder.path().join("guest.crt"), folder.path().join("guest.key"));
    std::fs::write(&chain, certificate.chain_pem)?;
    std::fs::write(&key, certificate.key_pem)?;
    let response = pinned(&hosts, &gateway).presenting(&chain, &key).get(hosts.url(ALPHA, "/"))?;
    assert_eq!(response.content, format!("{ALPHA} says hello to CN=guest.weir.test\n"), "{}", response.error);
    Ok(())
}

fn a_connection_under_another_name_than_its_connect_is_closed(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, ServerOptions::default())?;
    let client = pinned(&hosts, &gateway).connecting_to(format!("{BETA}:{}", hosts.port()));
    let response = client.get(hosts.url(ALPHA, "/"))?;
    assert_eq!((response.connect_status, response.status), (200, 0), "{response:#?}");
    let decision = gateway.only_decision()?;
    assert_eq!((decision.effect.as_str(), decision.reason.as_str()), ("deny", "tunnel_mismatch"));
    assert_eq!(decision.upstream_address, None);
    assert_eq!(hosts.nginx.served()?, []);
    assert_eq!(hosts.dns.queries(ALPHA) + hosts.dns.queries(BETA), 0, "nothing was resolved");
    Ok(())
}

fn a_name_that_leads_inward_is_not_connected_to(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, ServerOptions::default())?;
    let name = format!("a.{INWARD}");
    hosts.dns.set(&name, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    for count in 1..=2 {
        let response = pinned(&hosts, &gateway).get(hosts.url(&name, "/"))?;
        assert_eq!((response.connect_status, response.status), (200, 0), "{response:#?}");
        let decision = &gateway.decisions(count)?[count - 1];
        assert_eq!(
            (decision.effect.as_str(), decision.upstream_address.as_deref()),
            ("deny", None),
            "{decision:#?}"
        );
        assert_eq!(decision.reason, "address_not_allowed");
    }
    // Not a byte, and no connection either.
    assert_eq!(gateway.envoy_stat("cluster.weir_passthrough.upstream_cx_total")?, 0);
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn what_is_passed_through_changes_with_the_policy(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy, ServerOptions::default())?;
    let unlisted = hosts.url(UNLISTED, "/");
    assert_eq!(pinned(&hosts, &gateway).get(&unlisted)?.status, 0);
    gateway.run().write_policy(&policy(&hosts).replace(ALPHA, UNLISTED))?;
    let client = pinned(&hosts, &gateway);
    e2e::Deadline::seconds(30).poll_eq("the new policy", &200, || Ok(client.get(&unlisted)?.status))?;
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 0, "alpha is passed through no more");
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_pinned_client_gets_through,
    a_clients_own_certificate_reaches_the_host,
    a_connection_under_another_name_than_its_connect_is_closed,
    a_name_that_leads_inward_is_not_connected_to,
    what_is_passed_through_changes_with_the_policy,
);
