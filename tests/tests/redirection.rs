//! The rules of `weir redirect nft`, loaded into a namespace and attacked from the inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, Client, ControlGroup, EnvoyBinary, Network, OUTSIDE, Reached, Run, ServerOptions, Transport,
    UNLISTED, UpstreamHosts, as_user, echo, exchange, require_program, try_echo, weir_command,
};

/// The tests run as root, and so does Weir.
const WEIR: u32 = 0;
/// The user of the workload.
const WORKLOAD: u32 = 12_345;
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn ruleset(options: &[&str]) -> Result<Vec<u8>> {
    let output =
        weir_command()?.args(["redirect", "nft", "--uid", &WEIR.to_string()]).args(options).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Each address that the workload dials is answered by Weir, or not at all.
fn a_redirected_workload_reaches_what_the_policy_allows(envoy: &EnvoyBinary) -> Result<()> {
    let network = Network::new()?;
    network.inside(|| {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        run.transparent = LOOPBACK.map(|address| SocketAddr::new(address, port)).into();
        let gateway = run.start()?;
        let ports = format!("{},{}", hosts.port(), hosts.plain_port());
        network.load(&ruleset(&["--port", &port.to_string(), "--ports", &ports])?)?;
        let client = |address: IpAddr, port: u16| {
            let server = SocketAddr::new(address, port).to_string();
            Client::direct().trusting(gateway.authority()).of_user(WORKLOAD).connecting_to(server)
        };
        for (index, address) in OUTSIDE.into_iter().enumerate() {
            let secure = client(address, hosts.port());
            let allowed = secure.get(hosts.url(BETA, "/"))?;
            assert_eq!(
                (allowed.status, allowed.content),
                (200, format!("{BETA} says hello\n")),
                "{}",
                allowed.error
            );
            let plain = client(address, hosts.plain_port());
            assert_eq!(plain.get(hosts.plain_url(ALPHA, "/"))?.status, 200);
            let refused = plain.get(hosts.plain_url(UNLISTED, "/"))?;
            assert_eq!(
                (refused.status, refused.header("x-weir-decision")),
                (403, Some("host_not_allowed")),
                "{refused:#?}"
            );
            let decisions = gateway.decisions(3 * (index + 1))?;
            assert!(
                decisions.iter().all(|decision| decision.listener == "weir_transparent"),
                "{decisions:#?}"
            );
            // The workload's own address in the network.
            let decision = decisions.last().context("no decision")?;
            let own: [IpAddr; 2] = ["198.18.0.1".parse()?, "fd00:198:18::1".parse()?];
            assert_eq!(decision.client.map(|client| client.ip()), own.get(index).copied());
        }
        assert_eq!(hosts.nginx.wait_served(4)?[0].sni, BETA);
        Ok(())
    })
}

on_oldest_and_newest_envoy!(a_redirected_workload_reaches_what_the_policy_allows);

#[test]
fn the_workload_has_no_other_way_out() -> Result<()> {
    use Reached::{Echo, Forbidden, Refused, Silence};
    use Transport::{Tcp, Udp};
    let network = Network::new()?;
    // The result for the workload at each server of the network. Weir reaches all of them.
    let outside = [
        (Tcp, 22, Silence),
        (Tcp, 853, Silence),
        (Udp, 123, Forbidden),
        (Udp, 443, Forbidden),
        (Udp, 5353, Forbidden),
    ];
    let mut servers = Vec::new();
    for address in OUTSIDE {
        for (transport, port, seen) in outside {
            servers.push((true, transport, SocketAddr::new(address, port), seen));
        }
    }
    let [resolver, other_resolver] = OUTSIDE;
    for (transport, seen) in [(Tcp, Silence), (Udp, Forbidden)] {
        servers.push((true, transport, SocketAddr::new(resolver, 53), Echo));
        servers.push((true, transport, SocketAddr::new(other_resolver, 53), seen));
    }
    for address in LOOPBACK {
        for (port, seen) in
            [(15000, Refused), (15010, Refused), (15020, Refused), (15001, Echo), (15002, Echo), (8080, Echo)]
        {
            servers.push((false, Tcp, SocketAddr::new(address, port), seen));
        }
        servers.push((false, Udp, SocketAddr::new(address, 53), Forbidden));
    }
    // The namespace's own address is another way to its own ports.
    servers.push((false, Tcp, "198.18.0.1:15000".parse()?, Refused));
    for &(is_outside, transport, address, _) in &servers {
        let serve = || echo(transport, address);
        if is_outside { network.outside(serve)? } else { network.inside(serve)? }
    }

    let seen_by = |uid: u32| -> Result<Vec<Reached>> {
        network.inside(|| {
            as_user(uid, || {
                servers.iter().map(|(_, transport, address, _)| try_echo(*transport, *address)).collect()
            })
        })
    };
    let all = vec![Echo; servers.len()];
    assert_eq!(seen_by(WORKLOAD)?, all, "without the rules everything is open");
    network.load(&ruleset(&["--dns", &resolver.to_string()])?)?;
    let expected: Vec<_> =
        servers.iter().map(|(_, transport, address, seen)| (transport, address, *seen)).collect();
    for uid in [WORKLOAD, WORKLOAD + 1] {
        let seen = seen_by(uid)?;
        let seen: Vec<_> = servers
            .iter()
            .zip(seen)
            .map(|((_, transport, address, _), seen)| (transport, address, seen))
            .collect();
        assert_eq!(seen, expected);
    }
    assert_eq!(seen_by(WEIR)?, all, "Weir's own user is left alone");
    Ok(())
}

#[test]
fn only_weirs_control_group_is_left_alone() -> Result<()> {
    const SAY: &str = "import socket, sys\n\
        s = socket.create_connection((sys.argv[1], 22), timeout=2)\n\
        s.sendall(b'x')\nassert s.recv(1) == b'x'";
    let (network, group) = (Network::new()?, ControlGroup::new()?);
    for address in OUTSIDE {
        network.outside(|| echo(Transport::Tcp, SocketAddr::new(address, 22)))?;
    }
    require_program("python3")?;
    // Both processes run as root, and differ only in the control group.
    let reaches = |mut program: Command, address: IpAddr| {
        let arguments = ["-c", SAY, &address.to_string()];
        network.inside(|| Ok(program.args(arguments).output()?.status.success()))
    };
    let seen = || -> Result<Vec<(bool, bool)>> {
        let both = |address| {
            Ok((reaches(group.command("python3"), address)?, reaches(Command::new("python3"), address)?))
        };
        OUTSIDE.into_iter().map(both).collect()
    };
    assert_eq!(seen()?, [(true, true); 2], "without the rules everything is open");
    let output = weir_command()?.args(["redirect", "nft", "--cgroup", &group.path()]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    network.load(&output.stdout)?;
    assert_eq!(seen()?, [(true, false); 2]);
    Ok(())
}

#[test]
fn connections_that_are_older_than_the_rules_go_on() -> Result<()> {
    let network = Network::new()?;
    for address in OUTSIDE {
        for port in [443, 22] {
            network.outside(|| echo(Transport::Tcp, SocketAddr::new(address, port)))?;
        }
    }
    let connect = |port| {
        network.inside(|| {
            as_user(WORKLOAD, || {
                let connect = |address| Ok(TcpStream::connect(SocketAddr::new(address, port))?);
                OUTSIDE.into_iter().map(connect).collect::<Result<Vec<_>>>()
            })
        })
    };
    let mut connections: Vec<_> = connect(443)?.into_iter().chain(connect(22)?).collect();
    network.load(&ruleset(&[])?)?;
    for connection in &mut connections {
        exchange(connection).with_context(|| format!("{connection:?}"))?;
    }
    // A new connection to the same servers is redirected to a port without a listener, or dropped.
    let fresh = |port| {
        network.inside(|| as_user(WORKLOAD, || try_echo(Transport::Tcp, SocketAddr::new(OUTSIDE[0], port))))
    };
    assert_eq!((fresh(443)?, fresh(22)?), (Reached::Refused, Reached::Silence));
    Ok(())
}
