//! Lines of the decision log under load: each request that an upstream saw has a line.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use e2e::{
    ALPHA, Burst, Deadline, EnvoyBinary, Front, Origin, Run, RunningGateway, ServerOptions, Then, UNLISTED,
    UpstreamHosts, Wire,
};
use serde_json::Value;

/// The number of allowed requests.
const FORWARDED: usize = 60;
/// The number of denied requests on a connection. Envoy closes a connection that resets many more.
const DENIED: usize = 400;
/// The number of connections in a flood.
const CONNECTIONS: usize = 20;
/// The number of concurrent streams of a connection.
const STREAMS: usize = 90;
/// The length of a user agent, just below Envoy's limit for all headers.
const LONG: usize = 55_000;

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = hosts.plain_port();
    let rule = format!(
        "rules: [{{id: plain, effect: allow, hosts: [{ALPHA}], ports: [{port}], schemes: [http], addresses: [127.0.0.1/32]}}]"
    );
    let gateway = Run::new(envoy, &hosts, &rule)?.start()?;
    Ok((hosts, gateway))
}

/// Returns the lines so far.
fn lines(gateway: &RunningGateway) -> Vec<Value> {
    let stdout = gateway.stdout();
    stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the paths in the lines with `allow`, of open requests or of ended ones.
fn forwarded(gateway: &RunningGateway, open: bool) -> BTreeSet<String> {
    let all = lines(gateway).into_iter();
    let chosen = all.filter(|line| line["effect"] == "allow" && (line["phase"] == "open") == open);
    chosen.filter_map(|line| Some(line["path"].as_str()?.to_owned())).collect()
}

/// Sends denied requests and resets them at once.
fn flood(gateway: &RunningGateway, user_agent: &str, connections: usize) -> Result<Vec<Burst>> {
    let mut bursts = Vec::new();
    for _ in 0..connections {
        let mut burst = Burst::open(gateway.address()?)?;
        for number in 0..DENIED {
            burst.add("GET", UNLISTED, &format!("/denied/{number}"), user_agent, Then::Reset);
        }
        burst.write()?;
        bursts.push(burst);
    }
    Ok(bursts)
}

/// Sends allowed requests. Returns their paths when all have answers.
fn forward(gateway: &RunningGateway, hosts: &UpstreamHosts, user_agent: &str) -> Result<BTreeSet<String>> {
    let mut burst = Burst::open(gateway.address()?)?;
    let authority = hosts.plain_authority(ALPHA);
    let paths: Vec<_> = (0..FORWARDED).map(|number| format!("/{number}-{}", user_agent.len())).collect();
    let streams: Vec<_> =
        paths.iter().map(|path| burst.add("POST", &authority, path, user_agent, Then::End(b"hi"))).collect();
    burst.write()?;
    burst.wait_ended(&streams)?;
    Ok(paths.into_iter().collect())
}

fn wait_forwarded(gateway: &RunningGateway, paths: &BTreeSet<String>) -> Result<()> {
    Deadline::seconds(30)
        .poll_eq("lines of requests that were forwarded", paths, || Ok(forwarded(gateway, false)))
}

fn the_first_burst_of_a_run_has_all_its_lines(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    // The entries exceed Envoy's own buffer for a log, and come before Envoy has a connection for them.
    let paths = forward(&gateway, &hosts, &"a".repeat(LONG))?;
    hosts.nginx.wait_served(FORWARDED)?;
    wait_forwarded(&gateway, &paths)
}

fn no_flood_of_denials_takes_a_line_of_a_request_that_was_forwarded(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let mut paths = BTreeSet::new();
    for (length, connections) in [(10, CONNECTIONS), (LONG, 1)] {
        let user_agent = "a".repeat(length);
        let before = flood(&gateway, &user_agent, connections)?;
        paths.extend(forward(&gateway, &hosts, &user_agent)?);
        let after = flood(&gateway, &user_agent, connections)?;
        hosts.nginx.wait_served(paths.len())?;
        wait_forwarded(&gateway, &paths)?;
        drop((before, after));
    }
    // Weir reports the number of denials for which Envoy's buffer had no room.
    let dropped = gateway.envoy_stat("access_logs.grpc_access_log.logs_dropped")?;
    if dropped > 0 {
        let said =
            || Ok(gateway.stderr().contains("Envoy's buffer for the decision log was full").then_some(()));
        Deadline::seconds(10).poll("a word of what was dropped", said)?;
    }
    Ok(())
}

/// Envoy itself answers `OPTIONS *`, before the policy filter, and logs it with all headers.
fn no_flood_of_requests_that_envoy_refuses_takes_a_line_of_a_forwarded_one(
    envoy: &EnvoyBinary,
) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let (proxy, user_agent) = (gateway.address()?, "a".repeat(LONG));
    let is_over = AtomicBool::new(false);
    let refused = || -> Result<()> {
        let mut burst = Burst::open(proxy)?;
        while !is_over.load(Ordering::SeqCst) {
            let ask = |_| burst.add("OPTIONS", UNLISTED, "*", &user_agent, Then::End(b""));
            let streams: Vec<_> = (0..STREAMS).map(ask).collect();
            burst.write()?;
            burst.wait_ended(&streams)?;
        }
        Ok(())
    };
    let paths = std::thread::scope(|scope| {
        let floods = [scope.spawn(refused), scope.spawn(refused)];
        let forwarding = || -> Result<BTreeSet<String>> {
            let rounds = (1..=60).map(|round| forward(&gateway, &hosts, &"a".repeat(round)));
            Ok(rounds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        let paths = forwarding();
        is_over.store(true, Ordering::SeqCst);
        for flood in floods {
            flood.join().expect("the flood's own errors are returned")?;
        }
        paths
    })?;
    hosts.nginx.wait_served(paths.len())?;
    wait_forwarded(&gateway, &paths)
}

/// The origin of an upload never answers.
fn requests_under_way_have_a_line_also_when_weir_ends(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Plain, |_, wire| wire.read_to_end().map(drop))?;
    let mut gateway = Origin::gateway(envoy, &hosts, &[&origin])?;
    let mut burst = Burst::open(gateway.address()?)?;
    burst.add("POST", &origin.authority(), "/upload", "a", Then::Open(b"a part"));
    burst.write()?;
    origin.wait_heads(1)?;
    let upload: BTreeSet<_> = ["/upload".to_owned()].into();
    Deadline::seconds(20).poll_eq("the line of an open upload", &upload, || Ok(forwarded(&gateway, true)))?;
    let line = lines(&gateway).into_iter().find(|line| line["phase"] == "open").context("no open line")?;
    assert_eq!((&line["reason"], &line["status"]), (&"allowed".into(), &0.into()), "{line}");

    for number in 0..3 {
        burst.add("POST", &origin.authority(), &format!("/young/{number}"), "a", Then::Open(b"a part"));
    }
    burst.write()?;
    let seen: BTreeSet<_> = origin
        .wait_heads(4)?
        .iter()
        .filter_map(|head| Some(head.start.split(' ').nth(1)?.to_owned()))
        .collect();
    gateway.stop()?;
    let mut told = forwarded(&gateway, true);
    told.extend(forwarded(&gateway, false));
    assert_eq!(told, seen, "{}", gateway.stderr());
    assert!(!gateway.stderr().contains("no line"), "{}", gateway.stderr());
    Ok(())
}

fn a_client_that_goes_on_while_weir_ends_has_all_its_lines(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, mut gateway) = start(envoy)?;
    let (proxy, authority) = (gateway.address()?, hosts.plain_authority(ALPHA));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| -> Result<()> {
            let mut wire = Wire::connect(proxy)?;
            for number in 0.. {
                let request =
                    format!("GET http://{authority}/{number} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
                // The connection ends with Envoy.
                if is_over.load(Ordering::SeqCst) || wire.write(request).is_err() {
                    break;
                }
                let Ok(Some(head)) = wire.read_head() else { break };
                if wire.read_content(&head, |_| {}).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let served = Deadline::seconds(20)
            .poll("a client at work", || Ok((hosts.nginx.served()?.len() > 50).then_some(())));
        let stopped = gateway.stop();
        is_over.store(true, Ordering::SeqCst);
        served?;
        stopped?;
        client.join().expect("the client's own errors are returned")
    })?;
    let path = |request: &str| request.split(' ').nth(1).map(str::to_owned);
    let seen: BTreeSet<_> = hosts.nginx.served()?.iter().filter_map(|served| path(&served.request)).collect();
    let told = forwarded(&gateway, false);
    let missing: Vec<_> = seen.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?} of {}: {}", seen.len(), gateway.stderr());
    Ok(())
}

on_oldest_and_newest_envoy!(
    the_first_burst_of_a_run_has_all_its_lines,
    no_flood_of_denials_takes_a_line_of_a_request_that_was_forwarded,
    no_flood_of_requests_that_envoy_refuses_takes_a_line_of_a_forwarded_one,
    requests_under_way_have_a_line_also_when_weir_ends,
    a_client_that_goes_on_while_weir_ends_has_all_its_lines,
);
