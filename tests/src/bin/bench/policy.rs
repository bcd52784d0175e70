//! The cost of a decision, with ten hosts to a million.

mod in_envoy;
mod native;
mod workload;

use anyhow::{Context, Result};
use e2e::EnvoyBinary;

use self::workload::{Kind, Workload};

/// The sizes of the policies, in hosts.
const SIZES: [usize; 4] = [10, 1_000, 100_000, 1_000_000];

/// Prints nanoseconds per decision, bytes per host and loading time. An argument sets the largest size.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let largest = arguments.first().map(|text| text.parse()).transpose()?.unwrap_or(usize::MAX);
    let sizes = SIZES.into_iter().filter(|size| *size <= largest);
    let envoy = EnvoyBinary::newest()?;
    let plugin = std::env::var_os("WEIR_BENCH_PLUGIN").context("WEIR_BENCH_PLUGIN is not set")?;
    println!("| hosts | where | bytes a host | memory | load | {} |", Kind::ALL.map(Kind::name).join(" | "));
    println!("|---|---|---|---|---|{}", "---|".repeat(Kind::ALL.len()));
    for size in sizes {
        let workload = Workload::new(size)?;
        native::measure(&workload)?.print(size, "native", &workload);
        let in_envoy = in_envoy::measure(&envoy, plugin.as_ref(), &workload)?;
        in_envoy.print(size, &format!("Envoy {}", envoy.version), &workload);
    }
    Ok(())
}

/// One engine's measurements of one policy.
struct Measured {
    /// Seconds to load the policy from bytes.
    load: f64,
    /// Bytes of the VM's memory after loading.
    memory: Option<f64>,
    /// Nanoseconds per decision, for each of [`Kind::ALL`].
    decisions: Vec<f64>,
}

impl Measured {
    fn print(&self, size: usize, place: &str, workload: &Workload) {
        let times: Vec<String> = self.decisions.iter().map(|time| format!("{time:.0} ns")).collect();
        let memory = self.memory.map(|bytes| format!("{:.1} MB", bytes / 1e6)).unwrap_or_default();
        println!(
            "| {size} | {place} | {:.1} (names {:.1}) | {memory} | {:.1} ms | {} |",
            workload.bytes_a_host(),
            workload.mean_name(),
            self.load * 1e3,
            times.join(" | ")
        );
    }
}
