//! An idle Envoy and its control plane exchange no messages.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use e2e::{ALPHA, EnvoyBinary, Run, RunningGateway, ServerOptions, UpstreamHosts};

/// The span in which the predecessor exchanged 2,300 messages a second.
const IDLE: Duration = Duration::from_secs(30);

fn bytes(gateway: &RunningGateway) -> Result<[u64; 2]> {
    Ok([
        gateway.envoy_stat("cluster.weir_control_plane.upstream_cx_rx_bytes_total")?,
        gateway.envoy_stat("cluster.weir_control_plane.upstream_cx_tx_bytes_total")?,
    ])
}

fn an_idle_envoy_exchanges_nothing_with_the_control_plane(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut policy = hosts.policy();
    policy.push_str("allowed_domains:\n");
    for number in 0..20 {
        writeln!(policy, "  - idle-{number}.weir.test")?;
    }
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    gateway.only_decision()?;
    // Window updates and settings of the stream itself may still be under way. The test begins after a second without
    // any.
    let before = settled(&gateway)?;
    // The sleep waits for no event: the test is about the passing of this time.
    thread::sleep(IDLE);
    assert_eq!(bytes(&gateway)?, before, "bytes from and to the control plane, before and after {IDLE:?}");
    Ok(())
}

fn settled(gateway: &RunningGateway) -> Result<[u64; 2]> {
    let mut last = bytes(gateway)?;
    e2e::Deadline::seconds(15).poll("a quiet second", || {
        thread::sleep(Duration::from_secs(1));
        let now = bytes(gateway)?;
        let quiet = now == last;
        last = now;
        Ok(quiet.then_some(now))
    })
}

on_oldest_and_newest_envoy!(an_idle_envoy_exchanges_nothing_with_the_control_plane);
