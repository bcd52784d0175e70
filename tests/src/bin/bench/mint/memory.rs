//! The memory cost of names: Envoy's heap and the control plane's memory with names in use, after their withdrawal,
//! and under a flood of unlisted names.

use anyhow::{Context, Result};
use e2e::{Deadline, Dialler, EnvoyBinary, Flood, Run, RunningGateway, ServerOptions, UpstreamHosts};

/// The number of names in use at one time.
pub(super) const NAMES: usize = 2_000;
/// The number of unlisted names in the flood.
pub(super) const FLOOD: usize = 100_000;
/// The number of unlisted names that keep a certificate.
const UNLISTED: u64 = 50;
/// Envoy's gauge of the certificates that it holds.
const HELD: &str = "listener.envoy_internal_weir_intercept.on_demand_secret.cert_active";
const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub(super) fn measure(names: usize) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = super::policy_with("*.memory.weir.test", &hosts);
    let gateway = Run::new(&EnvoyBinary::newest()?, &hosts, &policy)?.start()?;
    let dialler = Dialler::new(gateway.address()?, gateway.authority())?;
    println!(
        "| live names | Envoy's heap | over none | a thousand names | weir, resident |\n|---|---|---|---|---|"
    );
    dialler.dial("first.memory.weir.test", 443)?.context("refused")?;
    let none = gateway.envoy_heap()?;
    row("0", 0, none, none, &gateway)?;
    for half in [0..names / 2, names / 2..names] {
        let live = half.end;
        for number in half {
            dialler.dial(&format!("n{number}.memory.weir.test"), 443)?.context("refused")?;
        }
        row(&live.to_string(), live, gateway.envoy_heap()?, none, &gateway)?;
    }
    gateway.run().write_policy(&hosts.policy())?;
    Deadline::seconds(120)
        .poll("end of the withdrawal", || Ok((gateway.envoy_stat(HELD)? <= UNLISTED).then_some(())))?;
    row(&format!("{UNLISTED}, after the policy dropped the rest"), 0, gateway.envoy_heap()?, none, &gateway)
}

pub(super) fn measure_flood(names: usize) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?.start()?;
    println!(
        "| unlisted names dialled | denied | refused | listed host answered | Envoy's heap | weir, resident |\n|---|---|---|---|---|---|"
    );
    let mut all = Flood::default();
    for part in 0..=10 {
        let end = names * part / 10;
        if part > 0 {
            let flood = Flood::new(names * (part - 1) / 10..end, &gateway, &hosts)?;
            all = Flood {
                denied: all.denied + flood.denied,
                refused: all.refused + flood.refused,
                listed: all.listed + flood.listed,
            };
        }
        let Flood { denied, refused, listed } = all;
        let (heap, weir) = (mebibytes(gateway.envoy_heap()?), mebibytes(gateway.id().resident()?));
        println!("| {end} | {denied} | {refused} | {listed} | {heap:.1} MiB | {weir:.1} MiB |");
    }
    Ok(())
}

fn row(what: &str, names: usize, heap: u64, none: u64, gateway: &RunningGateway) -> Result<()> {
    let over = mebibytes(heap.saturating_sub(none));
    let each = if names == 0 { String::new() } else { format!("{:.1} MiB", over * 1_000.0 / names as f64) };
    let weir = mebibytes(gateway.id().resident()?);
    println!("| {what} | {:.1} MiB | {over:.1} MiB | {each} | {weir:.1} MiB |", mebibytes(heap));
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MEBIBYTE
}
