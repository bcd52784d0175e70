//! A low limit of open files: Weir accepts only the connections that fit, and a flood of clients does not harm those
//! that are connected.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    Deadline, EnvoyBinary, Front, Head, Origin, Run, RunningGateway, ServerOptions, UpstreamHosts, Wire,
};
use weir::envoy::capacity::Capacity;
use weir::envoy::capacity::open_files::OpenFiles;
use weir::local_gateway::envoy::workers;

/// A host that no policy of these tests lists.
const DENIED: &str = "denied.weir.test";

fn start(
    envoy: &EnvoyBinary,
    hosts: &UpstreamHosts,
    policy: &str,
    open_files: u64,
) -> Result<RunningGateway> {
    let mut run = Run::new(envoy, hosts, policy)?;
    run.open_files = Some((open_files, open_files));
    run.start()
}

/// Returns whether the connection answers a request.
fn is_served(wire: &mut Wire) -> bool {
    let asked = wire.write(format!("GET http://{DENIED}/ HTTP/1.1\r\nhost: {DENIED}\r\n\r\n"));
    let head = asked.and_then(|()| wire.expect_head());
    head.and_then(|head| wire.read_content(&head, |_| {})).is_ok()
}

/// Returns whether the other end has closed the connection.
fn is_closed(connection: &mut TcpStream) -> Result<bool> {
    connection.set_read_timeout(Some(Duration::from_millis(1)))?;
    match connection.read(&mut [0]) {
        Ok(count) => Ok(count == 0),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => Ok(false),
        Err(_reset) => Ok(true),
    }
}

/// Envoy closes and counts connections beyond the limit. Open connections and the admin interface continue to work, and
/// a new connection takes a place that becomes free.
fn more_clients_than_fit_are_refused_and_harm_nobody(envoy: &EnvoyBinary) -> Result<()> {
    const BEYOND: usize = 40;
    OpenFiles::raise();
    for open_files in [256, 1024, 4096] {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        let gateway = start(envoy, &hosts, &hosts.policy(), open_files)?;
        let capacity = Capacity::new(open_files, workers(), 0);
        let said = format!("{open_files} open files leave {} connections", capacity.connections);
        ensure!(gateway.stderr().contains(&said), "`{said}` is not in: {}", gateway.stderr());
        let mut first = Wire::connect(gateway.address()?)?;
        ensure!(is_served(&mut first), "the first client was refused");
        let many = usize::try_from(capacity.connections)? + BEYOND;
        let mut clients =
            (0..many).map(|_| Ok(TcpStream::connect(gateway.address()?)?)).collect::<Result<Vec<_>>>()?;
        Deadline::seconds(20).poll("refused connections", || {
            let mut closed = 0;
            for client in &mut clients {
                closed += usize::from(is_closed(client)?);
            }
            Ok((closed >= BEYOND).then_some(()))
        })?;
        ensure!(is_served(&mut first), "the first client was not served while others were refused");
        ensure!(!is_served(&mut Wire::connect(gateway.address()?)?), "there was still a place");
        assert_eq!(gateway.envoy_admin("/ready")?, "LIVE\n");
        Deadline::seconds(20).poll("a word of it", || {
            Ok(gateway.stderr().contains("connections of clients closed").then_some(()))
        })?;
        drop(clients);
        Deadline::seconds(20).poll("a place for another client", || {
            Ok(is_served(&mut Wire::connect(gateway.address()?)?).then_some(()))
        })?;
    }
    Ok(())
}

fn answer(_: &Head, wire: &mut Wire) -> Result<()> {
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
}

/// Connections to many names would use up the open files, so the limit bounds the number of names, too.
fn more_names_than_fit_are_overloaded_and_harm_nobody(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Plain, answer)?;
    let port = origin.port();
    let rule = format!(
        "rules:\n  - {{id: many, effect: allow, hosts: ['*.many.weir.test'], ports: [{port}], schemes: [http], \
         addresses: [127.0.0.1]}}\n"
    );
    let gateway = start(envoy, &hosts, &rule, 256)?;
    let get = |number: usize| -> Result<(String, Option<String>)> {
        let name = format!("n{number}.many.weir.test");
        hosts.dns.set(&name, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let mut wire = Wire::connect(gateway.address()?)?;
        wire.write(format!(
            "GET http://{name}:{port}/ HTTP/1.1\r\nhost: {name}:{port}\r\nconnection: close\r\n\r\n"
        ))?;
        let head = wire.expect_head().with_context(|| name.clone())?;
        let reason = head.header("x-weir-decision").map(str::to_owned);
        Ok((head.start, reason))
    };
    let mut overloaded = 0;
    for number in 0..120 {
        match get(number)? {
            (start, None) => assert_eq!(start, "HTTP/1.1 200 OK"),
            (_, reason) => {
                assert_eq!(reason.as_deref(), Some("overloaded"));
                overloaded += 1;
            }
        }
    }
    assert!(overloaded > 0, "every name had a place");
    assert_eq!(get(0)?.0, "HTTP/1.1 200 OK");
    assert_eq!(gateway.envoy_admin("/ready")?, "LIVE\n");
    Ok(())
}

fn envoy_has_the_hard_limit_and_the_command_the_limit_that_it_had(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.open_files = Some((300, 900));
    let script = r#"ulimit -Sn; ulimit -Hn; for child in $(cat /proc/$PPID/task/*/children); do
        grep -qx envoy /proc/$child/comm && grep "Max open files" /proc/$child/limits | tr -s " " | cut -d " " -f 4,5
    done"#;
    let output = run.output(["sh", "-c", script])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "300\n900\n900 900\n", "{output:?}");
    Ok(())
}

on_oldest_and_newest_envoy!(
    more_clients_than_fit_are_refused_and_harm_nobody,
    more_names_than_fit_are_overloaded_and_harm_nobody,
    envoy_has_the_hard_limit_and_the_command_the_limit_that_it_had,
);
