//! A name that leads inward is refused unless its rule lists the address; Weir's own doors are closed even then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::{Result, ensure};
use e2e::{EnvoyBinary, INWARD, Run, ServerOptions, UpstreamHosts};

/// Loopback in each of its spellings, private, link-local and metadata space.
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

/// Envoy tries a name's addresses one after the other (happy eyeballs), and the guard must hold for each of them,
/// not for the first alone. `127.0.0.2` stands for an address that may be reached; nothing listens there.
fn an_address_that_is_not_allowed_is_not_reached_behind_one_that_is(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let listed = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    for others in [[IpAddr::V4(Ipv4Addr::LOCALHOST)], [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3))]] {
        hosts.dns.set(INWARD, [&[listed], others.as_slice()].concat());
        let policy = policy(&[INWARD.to_owned()], hosts.port(), "https", Some("127.0.0.2/32"));
        let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
        let response = gateway.client().get(hosts.url(INWARD, "/"))?;
        if envoy.version.as_str() < "1.39" && others == [IpAddr::V4(Ipv4Addr::LOCALHOST)] {
            // The limit that SECURITY.md states: these Envoys cannot be told to forget an address.
            assert_eq!(response.status, 200, "better than documented: {response:#?}");
        } else {
            assert_eq!(response.status, 503, "{response:#?}");
        }
    }
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
        run.listen = format!("127.0.0.1:{port}");
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

fn weir_and_its_envoy_listen_on_the_proxys_port_alone(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let mut listening = gateway.envoy()?.listening()?;
    ensure!(!listening.is_empty(), "nothing listens");
    listening.extend(gateway.id().listening()?);
    let proxy = gateway.address()?;
    assert!(listening.iter().all(|address| *address == proxy), "{listening:?}");
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
    a_name_that_does_not_exist_says_so,
    a_tunnel_to_an_address_that_no_rule_lists_is_refused,
    weirs_own_port_is_closed_even_to_a_rule_that_lists_it,
    weir_and_its_envoy_listen_on_the_proxys_port_alone,
);
