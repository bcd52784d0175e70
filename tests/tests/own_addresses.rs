//! The machine's own public addresses: the address guard denies a name that resolves there unless a rule lists the
//! address. Weir's own listeners stay closed even then, so that no request returns to Weir. The addresses are public
//! ones, in a network of the test's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Result, ensure};
use e2e::{Deadline, EnvoyBinary, Network, Run, RunningGateway, ServerOptions, UpstreamHosts, answer_once};

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9));
const OWN_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 9));
/// Another machine's address at first.
const LATER: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 9, 9, 10));
/// An address that the kernel delivers locally, on no interface.
const ROUTED: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 9, 8, 200));
const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

fn answer(gateway: &RunningGateway, name: &str, port: u16) -> Result<String> {
    let response = gateway.client().get(format!("http://{name}:{port}/"))?;
    let reason = response.header("x-weir-decision").map(|reason| format!(" {reason}")).unwrap_or_default();
    Ok(format!("{}{reason}", response.status))
}

fn a_name_that_leads_to_the_machine_itself_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let network = Network::new()?;
    network.add_address(OWN)?;
    network.add_address(OWN_IPV6)?;
    network.add_local_network("9.9.8.0/24")?;
    network.add_address_outside(LATER)?;
    // The port is free in both namespaces, because both are new.
    let port = network.inside(|| answer_once(SocketAddr::new(ANY[1], 0)))?.port();
    network.outside(|| answer_once(SocketAddr::new(ANY[0], port)))?;
    network.inside(|| {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        let rule = |id: &str, addresses: &str| {
            format!(
                "  - {{id: {id}, effect: allow, hosts: ['*.{id}.weir.test'], ports: [{port}], schemes: [http]{addresses}}}\n"
            )
        };
        let listed = format!(", addresses: [{OWN}, '{OWN_IPV6}', 9.9.8.0/24]");
        let policy = format!("rules:\n{}{}", rule("open", ""), rule("listed", &listed));
        let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
        for (number, address) in [OWN, OWN_IPV6, ROUTED].into_iter().enumerate() {
            for (rule, said) in [("open", "403 address_not_allowed"), ("listed", "200")] {
                let name = format!("n{number}.{rule}.weir.test");
                hosts.dns.set(&name, vec![address]);
                assert_eq!(answer(&gateway, &name, port)?, said, "{name} at {address}");
            }
        }
        // The address belongs to another machine until the test adds it here.
        let name = "later.open.weir.test";
        hosts.dns.set(name, vec![LATER]);
        assert_eq!(answer(&gateway, name, port)?, "200");
        network.add_address(LATER)?;
        Deadline::seconds(20)
            .poll_eq("the new address", &"403 address_not_allowed".to_owned(), || answer(&gateway, name, port))
    })
}

/// The listeners are on every address, and the request reaches one by a public address. Each request that returned to
/// Weir would be forwarded again, without an end.
fn no_request_comes_back_to_weir(envoy: &EnvoyBinary) -> Result<()> {
    let network = Network::new()?;
    network.add_address(OWN)?;
    network.add_address(OWN_IPV6)?;
    network.inside(|| {
        for (any, own) in ANY.into_iter().zip([OWN, OWN_IPV6]) {
            for addresses in [String::new(), format!(", addresses: ['{own}', '::/0', 0.0.0.0/0]")] {
                let hosts = UpstreamHosts::start(ServerOptions::default())?;
                let [transparent, explicit] = [free_port(any)?, free_port(any)?];
                let policy = format!(
                    "rules:\n  - {{id: r, effect: allow, hosts: [again.weir.test], ports: [{transparent}, {explicit}], \
                     schemes: [http]{addresses}}}\n  - {{id: p, effect: allow, hosts: [pass.weir.test], ports: [{transparent}], \
                     tls: passthrough{addresses}}}\n"
                );
                let mut run = Run::new(envoy, &hosts, &policy)?;
                run.transparent = vec![SocketAddr::new(any, transparent)];
                run.listen = Some(SocketAddr::new(any, explicit).to_string());
                let gateway = run.start()?;
                for name in ["again.weir.test", "pass.weir.test"] {
                    hosts.dns.set(name, vec![own]);
                }
                for (number, port) in [transparent, explicit].into_iter().enumerate() {
                    let said = answer(&gateway, "again.weir.test", port)?;
                    ensure!(said == "403 address_not_allowed", "{own} {addresses}: {said}");
                    assert_eq!(gateway.decisions(number + 1)?.len(), number + 1);
                }
                let passed = gateway.client().get(format!("https://pass.weir.test:{transparent}/"))?;
                assert_eq!(passed.status, 0, "{passed:#?}");
                let decisions = gateway.decisions(3)?;
                assert_eq!(decisions[2].reason, "address_not_allowed", "{decisions:#?}");
            }
        }
        Ok(())
    })
}

fn free_port(any: IpAddr) -> Result<u16> {
    Ok(TcpListener::bind((any, 0))?.local_addr()?.port())
}

on_oldest_and_newest_envoy!(
    a_name_that_leads_to_the_machine_itself_is_refused,
    no_request_comes_back_to_weir
);
