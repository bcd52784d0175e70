//! `tls: passthrough`: Envoy forwards TLS unopened, only to the host of its server name.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use anyhow::Result;
use e2e::{
    ALPHA, BETA, Client, EnvoyBinary, INWARD, Run, RunningGateway, ServerOptions, Site, UNLISTED,
    UpstreamHosts, Wire,
};
use tempfile::TempDir;

/// A host that requests client certificates.
const MUTUAL: &str = "mutual.weir.test";

/// The policy passes alpha and the inward host through, and intercepts beta.
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

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &policy(&hosts))?;
    // Weir itself verifies nothing here, because it does not know the pinned host's root.
    run.upstream_ca = None;
    Ok((hosts, run.start()?))
}

/// A client that trusts only the hosts' own roots, and not Weir's.
fn pinned(hosts: &UpstreamHosts, gateway: &RunningGateway) -> Client {
    Client::through(gateway.proxy()).trusting(&hosts.roots())
}

fn a_pinned_client_gets_through(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    // The second time, the name is in Envoy's cache.
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
        assert_eq!(decision.sni.as_deref(), Some(ALPHA));
        assert_eq!(decision.client.map(|client| client.ip()), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    assert_eq!(hosts.nginx.wait_served(2)?[0].sni, ALPHA);
    // An intercepted client sees Weir's certificate.
    let opened = pinned(&hosts, &gateway).get(hosts.url(BETA, "/"))?;
    assert_eq!((opened.exit_code, opened.status), (60, 0), "{opened:#?}");
    Ok(())
}

fn a_clients_own_certificate_reaches_the_host(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start_with(ServerOptions::default(), |authority| {
        let mutual = Site::new(MUTUAL, authority.issue(&[MUTUAL])?);
        Ok(vec![Site { clients: Some(authority.pem().to_owned()), ..mutual }])
    })?;
    let gateway = Run::new(envoy, &hosts, &policy(&hosts).replace(ALPHA, MUTUAL))?.start()?;
    let folder = TempDir::new()?;
    let certificate = hosts.alpha_authority.issue(&["guest.weir.test"])?;
    let (chain, key) = (folder.path().join("guest.crt"), folder.path().join("guest.key"));
    std::fs::write(&chain, certificate.chain_pem)?;
    std::fs::write(&key, certificate.key_pem)?;
    let response = pinned(&hosts, &gateway).presenting(&chain, &key).get(hosts.url(MUTUAL, "/"))?;
    assert_eq!(
        response.content,
        format!("{MUTUAL} says hello to CN=guest.weir.test\n"),
        "{}",
        response.error
    );
    Ok(())
}

fn a_connection_under_another_name_than_its_connect_is_closed(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
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
    let (hosts, gateway) = start(envoy)?;
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
    // The host gets no byte, and no connection.
    assert_eq!(gateway.envoy_stat("cluster.weir_passthrough.upstream_cx_total")?, 0);
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn what_is_passed_through_changes_with_the_policy(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let unlisted = hosts.url(UNLISTED, "/");
    assert_eq!(pinned(&hosts, &gateway).get(&unlisted)?.status, 0);
    gateway.run().write_policy(&policy(&hosts).replace(ALPHA, UNLISTED))?;
    let client = pinned(&hosts, &gateway);
    e2e::Deadline::seconds(30).poll_eq("the new policy", &200, || Ok(client.get(&unlisted)?.status))?;
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 0, "alpha is passed through no more");
    Ok(())
}

fn what_is_redirected_is_passed_through_as_well(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    // Nothing redirects this connection, so the client dialled the listener's own port.
    let policy = format!(
        "rules: [{{id: pinned, effect: allow, hosts: [{ALPHA}], tls: passthrough, ports: [{}], addresses: [127.0.0.1], \
         upstream: {{port: {}}}}}]",
        listener.port(),
        hosts.port()
    );
    let mut run = Run::new(envoy, &hosts, &policy)?;
    (run.transparent, run.upstream_ca) = (vec![listener], None);
    let gateway = run.start()?;
    let client = Client::direct().trusting(&hosts.roots()).connecting_to(listener.to_string());
    let response = client.get(hosts.url(ALPHA, "/"))?;
    assert_eq!(
        (response.status, response.content),
        (200, format!("{ALPHA} says hello\n")),
        "{}",
        response.error
    );
    let decision = gateway.only_decision()?;
    assert_eq!((decision.rule.as_deref(), decision.port), (Some("pinned"), Some(listener.port())));
    assert_eq!(decision.upstream_address, Some(hosts.nginx.address().to_string()));
    let refused = client.get(hosts.url(UNLISTED, "/"))?;
    assert_eq!(refused.status, 0, "{refused:#?}");
    assert_eq!(hosts.nginx.served()?.len(), 1);
    Ok(())
}

/// A rule forwards the connection to another host. The bytes inside stay as the client wrote them.
fn a_rule_leads_to_another_host_and_port(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = format!(
        "rules: [{{id: moved, effect: allow, hosts: [front.weir.test], tls: passthrough, addresses: [127.0.0.1], \
         upstream: {{host: {BETA}, port: {}}}}}]",
        hosts.port()
    );
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    let response = pinned(&hosts, &gateway).insecure().get("https://front.weir.test/")?;
    // The server answers for its first host, because the name is not one of its own.
    assert_eq!(
        (response.status, response.content.as_str()),
        (200, "alpha.weir.test says hello\n"),
        "{response:#?}"
    );
    let served = &hosts.nginx.wait_served(1)?[0];
    assert_eq!((served.sni.as_str(), served.host.as_str()), ("front.weir.test", "front.weir.test"));
    assert_eq!((hosts.dns.queries(BETA) > 0, hosts.dns.queries("front.weir.test")), (true, 0));
    let decision = gateway.only_decision()?;
    assert_eq!(decision.upstream, Some(hosts.authority(BETA)));
    assert_eq!(decision.upstream_address, Some(hosts.nginx.address().to_string()));
    Ok(())
}

/// Writes the first bytes of a TLS 1.2 client with this server name (RFC 5246, section 7.4.1.2; RFC 6066, section 3).
fn client_hello(server_name: &str) -> Vec<u8> {
    fn counted(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).expect("a short field").to_be_bytes(), bytes].concat()
    }
    let extension = |kind: u8, content: &[u8]| [&[0, kind], counted(content).as_slice()].concat();
    let name = counted(&[&[0], counted(server_name.as_bytes()).as_slice()].concat());
    let extensions = [
        extension(0, &name),
        // Curve P-256, ECDSA with it and SHA-256, points not compressed.
        extension(10, &counted(&[0, 23])),
        extension(13, &counted(&[4, 3])),
        extension(11, &[1, 0]),
    ];
    // Version, random, no session, one suite (ECDHE, ECDSA, AES-128 in GCM), no compression.
    let hello =
        [&[3, 3], [7; 32].as_slice(), &[0], &counted(&[0xc0, 0x2b]), &[1, 0], &counted(&extensions.concat())]
            .concat();
    let message = [&[1, 0], counted(&hello).as_slice()].concat();
    [&[22, 3, 1], counted(&message).as_slice()].concat()
}

fn the_server_name_is_matched_in_any_case_and_without_a_dot(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let connections = || gateway.envoy_stat("cluster.weir_passthrough.upstream_cx_total");
    let target = hosts.authority(ALPHA);
    for (server_name, passed) in [(ALPHA.to_uppercase(), 1), (format!("{ALPHA}."), 0)] {
        let before = connections()?;
        let mut wire = Wire::connect(gateway.address()?)?;
        wire.write(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"))?;
        assert_eq!(wire.expect_head()?.start, "HTTP/1.1 200 OK");
        wire.write(client_hello(&server_name))?;
        if passed == 1 {
            assert_eq!(wire.read(1)?, [22], "{server_name}: no handshake");
        } else {
            // Weir intercepted the connection and answered, or closed it: an alert, a handshake, or nothing.
            wire.end()?;
            wire.read_to_end()?;
        }
        assert_eq!(connections()? - before, passed, "{server_name}");
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_pinned_client_gets_through,
    a_clients_own_certificate_reaches_the_host,
    a_connection_under_another_name_than_its_connect_is_closed,
    a_name_that_leads_inward_is_not_connected_to,
    what_is_passed_through_changes_with_the_policy,
    what_is_redirected_is_passed_through_as_well,
    a_rule_leads_to_another_host_and_port,
    the_server_name_is_matched_in_any_case_and_without_a_dot,
);
