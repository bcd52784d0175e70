//! What the filter costs a request: processor time of a whole Envoy with one worker, over that of one without a filter.
//!
//! Every Envoy answers over TLS by itself, so that nothing else is in the number. All of them run side by side, and are
//! measured in turn, round after round: what else the machine does falls on all alike.

mod load;
mod variant;

use std::path::PathBuf;

use anyhow::{Context, Result};
use e2e::{CertificateAuthority, EnvoyBinary};

use self::load::Load;
use self::variant::Variant;
use crate::envoy::{Envoy, answering};

/// Rounds in which every variant has its turn.
const ROUNDS: usize = 9;
/// Requests of a turn.
const REQUESTS: usize = 4_000;

/// A variant's Envoy and what was measured of it.
struct Runner {
    variant: Variant,
    envoy: Envoy,
    load: Load,
    /// Nanoseconds a request, of each round.
    times: Vec<f64>,
}

/// Prints the ratios. The first argument is a number of rounds.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let rounds = arguments.first().map(|text| text.parse()).transpose()?.unwrap_or(ROUNDS);
    let binary = EnvoyBinary::newest()?;
    let authority = CertificateAuthority::new("Benches")?;
    let certificate = authority.issue(&[variant::HOST])?;
    let mut runners = Vec::new();
    for variant in Variant::all()? {
        let filters = variant.filters.clone();
        let mut envoy = Envoy::start(&binary, |folder| {
            std::fs::write(folder.join("server.crt"), &certificate.chain_pem)?;
            std::fs::write(folder.join("server.key"), &certificate.key_pem)?;
            Ok(answering(folder, filters))
        })
        .with_context(|| variant.name.clone())?;
        let listener = envoy.directory().join("listener");
        envoy.wait("start of Envoy", |_| std::os::unix::net::UnixStream::connect(&listener).ok())?;
        let mut load = Load::connect(&listener, variant::HOST, &authority)?;
        // Until the VM has compiled what is used often.
        load.send(REQUESTS, variant.status)?;
        runners.push(Runner { variant, envoy, load, times: Vec::new() });
    }
    for _ in 0..rounds {
        for runner in &mut runners {
            let before = runner.envoy.processor_time()?;
            runner.load.send(REQUESTS, runner.variant.status)?;
            let time = runner.envoy.processor_time()? - before;
            runner.times.push(time as f64 / REQUESTS as f64);
        }
    }
    print(&binary, &runners)
}

fn print(binary: &EnvoyBinary, runners: &[Runner]) -> Result<()> {
    let nothing = &runners.first().context("no variants")?.times;
    println!(
        "Envoy {}, one worker, HTTP/1.1 over TLS, answered directly; {} rounds",
        binary.version,
        nothing.len()
    );
    println!("| filter | µs a request | ratio (median of the rounds) | smallest to largest | resident |");
    println!("|---|---|---|---|---|");
    for Runner { variant, envoy, times, .. } in runners {
        let mut ratios: Vec<f64> = times.iter().zip(nothing).map(|(time, nothing)| time / nothing).collect();
        ratios.sort_by(f64::total_cmp);
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        let (middle, last) = (ratios.len() / 2, ratios.len() - 1);
        println!(
            "| {} | {:.1} | {:.2} | {:.2} to {:.2} | {} MB |",
            variant.name,
            times[middle] / 1e3,
            ratios[middle],
            ratios[0],
            ratios[last],
            envoy.resident()? / 1_000_000
        );
    }
    Ok(())
}

/// The module in the file that this variable names.
fn module(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|file| file.is_file())
}
