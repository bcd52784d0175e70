//! Requests to names that resolve to non-public addresses. The address guard denies them unless the rule lists the
//! address, and Weir's own ports stay closed even then.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::{Result, ensure};
use e2e::{ALPHA, Deadline, EnvoyBinary, INWARD, Run, ServerOptions, UpstreamHosts};

/// Loopback in each of its spellings, private, link-local and metadata addresses.
const INWARD_ADDRESSES: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(127, 255, 255, 254)),
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

fn a_name_that_leads_inward_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let names: Vec<_> = (0..INWARD_ADDRESSES.len()).map(|index| format!("n{index}.{INWARD}")).collect();
    for (name, address) in names.iter().zip(INWARD_ADDRESSES) {
        hosts.dns.set(name, vec![address]);
    }
    let policy = policy(&names, hosts.port(), "https", None);
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    for (index, (name, address)) in names.iter().zip(INWARD_ADDRESSES).enumerate() {
        let response = gateway.client().get(hosts.url(name, "/"))?;
        assert_eq!(response.status, 403, "{address}: {response:#?}");
        assert_eq!(response.header("x-weir-decision"), Some("address_not_allowed"), "{address}");
        assert_eq!(response.json()?["reason"], "address_not_allowed", "{address}");
        let decision = &gateway.decisions(index + 1)?[index];
        assert_eq!(
            (decision.effect.as_str(), decision.reason.as_str()),
            ("deny", "address_not_allowed"),
            "{address}"
        );
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

/// `127.0.0.2` is an allowed address on which no program listens, so Envoy tries the next address (happy eyeballs). The
/// hosts listen on `127.0.0.1`.
const LISTED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The guard sees only the first address, so the resolver withholds the others. It does so also for addresses that
/// another rule lists, and over plain HTTP, where Envoy verifies no certificate.
fn an_address_that_is_not_allowed_is_not_reached_behind_one_that_is(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let name = |index: usize| format!("n{index}.{INWARD}");
    let inner =
        [vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], vec![mapped], vec![mapped, IpAddr::V4(Ipv4Addr::LOCALHOST)]];
    for (index, inner) in inner.iter().enumerate() {
        hosts.dns.set(&name(index), [&[LISTED], inner.as_slice()].concat());
    }
    let names: Vec<_> = (0..inner.len()).map(name).collect();
    let rule = |id: &str, hosts: &str, addresses: &str, ports: &str| {
        format!(
            "  - {{id: {id}, effect: allow, hosts: [{hosts}], schemes: [http, https], ports: [{ports}], addresses: [{addresses}]}}\n"
        )
    };
    let ports = format!("{}, {}", hosts.port(), hosts.plain_port());
    let policy = format!(
        "rules:\n{}{}",
        rule("inward", &names.join(", "), "127.0.0.2", &ports),
        rule("other", ALPHA, "127.0.0.1", &ports),
    );
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    let plain = |name: &str| format!("http://{name}:{}/", hosts.plain_port());
    for name in &names {
        for url in [hosts.url(name, "/"), plain(name)] {
            let response = gateway.client().get(&url)?;
            assert_eq!(
                (response.status, response.header("x-weir-decision")),
                (503, Some("upstream_unreachable")),
                "{url}: {response:#?}"
            );
        }
    }
    assert_eq!(hosts.nginx.served()?, []);
    // The other rule's name reaches the addresses that the other rule lists.
    assert_eq!(gateway.client().get(plain(ALPHA))?.status, 200);
    Ok(())
}

fn of_two_rules_for_a_name_neither_reaches_what_the_other_lists(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    hosts.dns.set(INWARD, vec![LISTED, IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let port = hosts.plain_port();
    let rule = |id: &str, address: &str| {
        format!(
            "  - {{id: {id}, effect: allow, hosts: [{INWARD}], paths: [/{id}], schemes: [http], ports: [{port}], addresses: [{address}]}}\n"
        )
    };
    let policy = format!("rules:\n{}{}", rule("first", "127.0.0.2"), rule("second", "127.0.0.1"));
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    for (path, reason) in [("first", "upstream_unreachable"), ("second", "address_not_allowed")] {
        let response = gateway.client().get(format!("http://{INWARD}:{port}/{path}"))?;
        assert_eq!(response.header("x-weir-decision"), Some(reason), "{path}: {response:#?}");
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

/// Envoy resolves a name again after 30 seconds. A later answer with another address opens no way to that address.
fn a_name_that_moves_inward_between_two_requests_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = hosts.plain_port();
    let inner = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 3), port))?;
    inner.set_nonblocking(true)?;
    let gateway =
        Run::new(envoy, &hosts, &policy(&[INWARD.to_owned()], port, "http", Some("127.0.0.1")))?.start()?;
    let ask = || gateway.client().get(format!("http://{INWARD}:{port}/"));
    assert_eq!(ask()?.status, 200);
    hosts.dns.set(INWARD, vec![inner.local_addr()?.ip()]);
    Deadline::seconds(120).poll_eq("the answer", &Some("address_not_allowed".to_owned()), || {
        let response = ask()?;
        ensure!(matches!(response.status, 200 | 403), "{response:#?}");
        Ok(response.header("x-weir-decision").map(str::to_owned))
    })?;
    assert_eq!(inner.accept().map(drop).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    Ok(())
}

fn a_name_that_does_not_exist_says_so(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let name = "nowhere.weir.test";
    let policy = policy(&[name.to_owned()], hosts.port(), "https", None);
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    let response = gateway.client().get(hosts.url(name, "/"))?;
    assert_eq!(
        (response.status, response.header("x-weir-decision")),
        (503, Some("dns_failure")),
        "{response:#?}"
    );
    assert_eq!(gateway.only_decision()?.reason, "dns_failure");
    Ok(())
}

fn a_tunnel_to_an_address_that_no_rule_lists_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    for (index, address) in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"].into_iter().enumerate() {
        let response = gateway.client().get(hosts.url(address, "/"))?;
        assert_eq!((response.connect_status, response.status), (403, 0), "{address}: {response:#?}");
        assert_eq!(gateway.decisions(index + 1)?[index].reason, "address_literal", "{address}");
    }
    Ok(())
}

fn weirs_own_port_is_closed_even_to_a_rule_that_lists_it(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    for scheme in ["http", "https"] {
        let policy = policy(&[INWARD.to_owned()], port, scheme, Some("127.0.0.0/8"));
        let mut run = Run::new(envoy, &hosts, &policy)?;
        run.listen = Some(format!("127.0.0.1:{port}"));
        let gateway = run.start()?;
        let response = gateway.client().get(format!("{scheme}://{INWARD}:{port}/"))?;
        assert_eq!(
            response.header("x-weir-decision"),
            Some("address_not_allowed"),
            "{scheme}: {response:#?}"
        );
    }
    Ok(())
}

fn weir_and_its_envoy_listen_on_the_proxys_port_and_the_resolvers_alone(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, "rules: []")?.start()?;
    let proxy = gateway.address()?;
    let listening = gateway.envoy()?.listening()?;
    ensure!(!listening.is_empty(), "nothing listens");
    assert!(listening.iter().all(|address| *address == proxy), "{listening:?}");
    let own: Vec<_> = gateway.id().listening()?.into_iter().filter(|address| *address != proxy).collect();
    let [resolver] = own.as_slice() else { anyhow::bail!("{own:?}") };
    assert!(resolver.ip().is_loopback(), "{resolver}");

    // No rule opens the resolver's port to a request.
    let port = resolver.port();
    gateway.run().write_policy(&policy(&[INWARD.to_owned()], port, "http", Some("127.0.0.0/8")))?;
    let response = Deadline::seconds(20).poll("the edited policy", || {
        let response = gateway.client().get(format!("http://{INWARD}:{port}/"))?;
        Ok((response.header("x-weir-decision") != Some("host_not_allowed")).then_some(response))
    })?;
    assert_eq!(response.header("x-weir-decision"), Some("address_not_allowed"), "{response:#?}");
    Ok(())
}

fn policy(names: &[String], port: u16, scheme: &str, addresses: Option<&str>) -> String {
    let addresses = addresses.map(|network| format!("    addresses: [{network}]\n")).unwrap_or_default();
    let names = names.join(", ");
    format!(
        "rules:\n  - id: inward\n    effect: allow\n    hosts: [{names}]\n    ports: [{port}]\n    schemes: [{scheme}]\n{addresses}"
    )
}

on_oldest_and_newest_envoy!(
    a_name_that_leads_inward_is_refused,
    an_address_that_is_not_allowed_is_not_reached_behind_one_that_is,
    of_two_rules_for_a_name_neither_reaches_what_the_other_lists,
    a_name_that_moves_inward_between_two_requests_is_refused,
    a_name_that_does_not_exist_says_so,
    a_tunnel_to_an_address_that_no_rule_lists_is_refused,
    weirs_own_port_is_closed_even_to_a_rule_that_lists_it,
    weir_and_its_envoy_listen_on_the_proxys_port_and_the_resolvers_alone,
);
