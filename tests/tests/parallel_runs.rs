//! Runs side by side: each has a port of its own, and they share only the CA in the state folder.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};
use e2e::{BETA, Deadline, EnvoyBinary, Process, Run, ServerOptions, UpstreamHosts};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getpeername, getsockname, listen, socket_with, sockopt,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};

/// Starts a run whose policy allows GET `/NUMBER` of beta and nothing else.
fn run(envoy: &EnvoyBinary, hosts: &UpstreamHosts, number: usize) -> Result<Run> {
    let port = hosts.plain_port();
    let policy = format!(
        "rules:\n  - id: own\n    effect: allow\n    hosts: [{BETA}]\n    ports: [{port}]\n    schemes: [http]\n    \
         paths: ['/{number}']\n    addresses: [127.0.0.1/32]\n"
    );
    Run::new(envoy, hosts, &policy)
}

/// A shell line that prints the status of `/NUMBER` of beta for each number. It uses no TLS, because with twenty Envoys
/// on two cores a handshake exceeds its time limit.
fn ask(hosts: &UpstreamHosts, numbers: &[usize]) -> String {
    let urls =
        numbers.iter().map(|number| format!("-o /dev/null {}", hosts.plain_url(BETA, &format!("/{number}"))));
    format!("curl -sS -w '%{{http_code}} ' {}", urls.collect::<Vec<_>>().join(" "))
}

fn twenty_runs_at_once_are_each_judged_by_their_own_policy(envoy: &EnvoyBinary) -> Result<()> {
    const RUNS: usize = 20;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let folder = tempfile::tempdir()?;
    let mut runs = Vec::new();
    for number in 0..RUNS {
        let mut run = run(envoy, &hosts, number)?;
        // The first runs make the CA together. No option names an address.
        (run.shared_state, run.listen) = (Some(folder.path().join("state")), None);
        let line = ask(&hosts, &[number, (number + 1) % RUNS, (number + RUNS - 1) % RUNS, number]);
        runs.push((
            run.spawn(["sh", "-c", &format!("{line}; echo \" $HTTPS_PROXY $(cksum < $DENO_CERT)\"")])?,
            run,
        ));
    }
    let mut roots = BTreeSet::new();
    for (process, _run) in &mut runs {
        let status = process.wait(Deadline::seconds(120))?;
        let deadline = Deadline::seconds(10);
        let (stdout, stderr) = (process.stdout().whole(deadline)?, process.stderr().whole(deadline)?);
        let said = stdout.trim().split_once("  ").with_context(|| format!("{status}: {stdout}{stderr}"))?;
        assert_eq!(said.0, "200 403 403 200", "{stderr}");
        let (proxy, root) = said.1.split_once(' ').context("no root")?;
        assert!(proxy.starts_with("http://127.0.0.1:") && !proxy.ends_with(":15001"), "{proxy}");
        roots.insert(root.to_owned());
    }
    assert_eq!(roots.len(), 1, "{roots:?}");
    Ok(())
}

fn of_two_runs_on_one_address_one_serves_and_the_other_says_why(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    for round in 0..20 {
        let address = free_address()?;
        let start = |number: usize, other: usize| -> Result<(Process, Run)> {
            let mut run = run(envoy, &hosts, number)?;
            run.listen = Some(address.to_string());
            // The test repeats the request: with two Envoys on the address, each would get about half of the requests.
            let line = ask(&hosts, &[number, other, number, other, number, other]);
            Ok((run.spawn(["sh", "-c", &format!("{line}; echo; exec sleep 600")])?, run))
        };
        let mut runs = [start(1, 2)?, start(2, 1)?];
        let deadline = Deadline::seconds(90);
        let lost = deadline.poll("end of one of two runs", || {
            let ended = runs.iter_mut().map(|(run, _)| run.ended()).collect::<Result<Vec<_>>>()?;
            Ok(ended.iter().position(Option::is_some))
        })?;
        let [(loser, _), (winner, _)] = match lost {
            0 => &mut runs,
            _ => {
                runs.reverse();
                &mut runs
            }
        };
        let stderr = loser.stderr().whole(deadline)?;
        assert_eq!(loser.ended()?.and_then(|status| status.code()), Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("cannot listen on {address}: ")) && stderr.contains("help: "),
            "{stderr}"
        );
        assert_eq!(loser.stdout().text(), "", "its command did not run");
        let judged =
            winner.stdout().wait(deadline, "answers of the run that serves", |lines| lines.first().cloned());
        let judged = judged.with_context(|| format!("round {round}: {}", winner.stderr().text()))?;
        assert_eq!(judged.trim(), "200 403 200 403 200 403", "round {round}");
        winner.signal(Signal::TERM)?;
        winner.wait(Deadline::seconds(15))?;
    }
    Ok(())
}

fn nobody_can_listen_beside_a_run(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.transparent = crate::transparent::listeners()?;
    let transparent = run.transparent.clone();
    let gateway = run.start()?;
    for address in transparent.into_iter().chain([gateway.address()?]) {
        let port = address.port();
        let every = if address.is_ipv4() { ["0.0.0.0", "::ffff:127.0.0.1"] } else { ["::", "::1"] };
        let every =
            every.iter().map(|ip| Ok(SocketAddr::new(ip.parse()?, port))).collect::<Result<Vec<_>>>()?;
        for other in every.into_iter().chain([address]) {
            assert_eq!(listener(other).err(), Some(Errno::ADDRINUSE), "{other} beside {address}");
        }
    }
    Ok(())
}

/// A program that listens first, between Weir's reservation and Envoy's start.
fn a_port_that_is_taken_from_envoy_is_an_error_or_another_port(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let (mut stolen, mut refused) = (0, 0);
    for round in 0..30 {
        let named = round % 2 == 0;
        let mut run = run(envoy, &hosts, 1)?;
        let address = free_address()?;
        run.listen = Some(if named { address.to_string() } else { "127.0.0.1:0".to_owned() });
        let line = ask(&hosts, &[1, 2, 1]);
        let mut process = run.spawn(["sh", "-c", &line])?;
        let reserved = Deadline::seconds(30).poll("a reserved port", || reserved_port(&process))?;
        let thief = Thief::start(reserved);
        let status = process.wait(Deadline::seconds(90))?;
        let took_it = thief.stop()?;
        let deadline = Deadline::seconds(10);
        let (stdout, stderr) = (process.stdout().whole(deadline)?, process.stderr().whole(deadline)?);
        if named && took_it {
            refused += 1;
            assert_eq!(status.code(), Some(1), "{stdout}{stderr}");
            let taken = format!("cannot listen on {address}: `");
            assert!(stderr.contains(&taken) && stderr.contains("help: "), "{stderr}");
            assert_eq!(stdout, "");
        } else {
            stolen += usize::from(took_it);
            assert_eq!(stdout.trim(), "200 403 200", "{stderr}");
        }
        if stolen >= 2 && refused >= 2 {
            return Ok(());
        }
    }
    anyhow::bail!(
        "in 30 rounds the port was taken {refused} times by name and {stolen} times as any: nothing was shown"
    )
}

/// A command that ignores SIGTERM outlives its Envoy by ten seconds. A program that listened in Envoy's place would get
/// the command's requests, and with them the proxy's credentials.
fn nobody_takes_the_port_of_an_envoy_that_died(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = run(envoy, &hosts, 1)?;
    let mut process =
        run.spawn(["sh", "-c", "trap '' TERM; echo $HTTPS_PROXY; while :; do sleep 1; done"])?;
    let proxy = process.stdout().wait(Deadline::seconds(60), "the proxy's address", |lines| {
        lines.iter().find_map(|line| line.strip_prefix("http://").map(str::to_owned))
    })?;
    let address: SocketAddr = proxy.trim_end_matches('/').parse()?;
    process.id().descendant("envoy")?.signal(Signal::KILL)?;
    let mut tries = 0;
    while process.id().is_running() {
        if listener(address).is_ok() {
            // The kernel closes the sockets of a process a moment before the process is gone.
            process
                .wait(Deadline::seconds(2))
                .with_context(|| format!("weir still runs, after {tries} tries"))?;
            break;
        }
        tries += 1;
        thread::yield_now();
    }
    ensure!(tries > 100, "weir ended at once: nothing was shown");
    Ok(())
}

/// Tries to listen on an address until it succeeds, and then accepts connections without answers.
struct Thief {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<bool>>,
}

impl Thief {
    fn start(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                match listener(address) {
                    Ok(socket) => {
                        while !until.load(Ordering::Relaxed) {
                            thread::yield_now();
                        }
                        drop(socket);
                        return Ok(true);
                    }
                    Err(Errno::ADDRINUSE) => thread::yield_now(),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(false)
        });
        Self { over, thread }
    }

    fn stop(self) -> Result<bool> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thief panicked"))?
    }
}

/// Makes a listener as a second Envoy would.
fn listener(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, 16)?;
    Ok(socket)
}

/// Finds the address that `weir` has bound and on which no program listens yet.
fn reserved_port(process: &Process) -> Result<Option<SocketAddr>> {
    let number = process.id().number();
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw).context("no process id")?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    for file in std::fs::read_dir(format!("/proc/{number}/fd")).context("weir has ended")? {
        // A file may be closed between the listing and the look.
        let name = file?.file_name();
        let Some(file) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(socket) = pidfd_getfd(&process, file, PidfdGetfdFlags::empty()) else { continue };
        let is_stream = sockopt::socket_type(&socket) == Ok(SocketType::STREAM);
        let Ok(Ok(address)) = getsockname(&socket).map(SocketAddr::try_from) else { continue };
        let closed = !sockopt::socket_acceptconn(&socket)? && getpeername(&socket).is_err();
        if is_stream && address.port() != 0 && closed {
            return Ok(Some(address));
        }
    }
    Ok(None)
}

fn free_address() -> Result<SocketAddr> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    ensure!(address.port() != 0, "no port");
    Ok(address)
}

on_oldest_and_newest_envoy!(
    a_port_that_is_taken_from_envoy_is_an_error_or_another_port,
    nobody_can_listen_beside_a_run,
    nobody_takes_the_port_of_an_envoy_that_died,
    of_two_runs_on_one_address_one_serves_and_the_other_says_why,
    twenty_runs_at_once_are_each_judged_by_their_own_policy,
);
