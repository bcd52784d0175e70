//! What the filter costs a request: processor time of a whole Envoy with one worker, over that of one without a filter.
//!
//! Twice: for a request that Envoy answers by itself, the smallest there is, so that nothing else is in the number; and
//! for one that it forwards over TLS, on connections that are kept, which is what a gateway does. All Envoys run side by
//! side, and are measured in turn, round after round: what else the machine does falls on all alike.

mod load;
mod variant;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use e2e::{CertificateAuthority, EnvoyBinary, Nginx, ServerOptions, Site};

use self::load::Load;
use self::variant::Variant;
use crate::envoy::{Envoy, answering};

/// Rounds in which every variant has its turn.
const ROUNDS: usize = 15;
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
    let bench = Bench { rounds, authority: CertificateAuthority::new("Benches")? };
    println!(
        "Envoy {}, one worker, HTTP/1.1 over TLS, {rounds} rounds of {REQUESTS} requests.\n\nAnswered by Envoy itself:\n",
        binary.version
    );
    bench.measure(&binary, Variant::all()?, None)?;
    println!("\nForwarded over TLS:\n");
    let site = Site::new(variant::HOST, bench.authority.issue(&[variant::HOST])?);
    let upstream = Nginx::start(&[site], ServerOptions::default())?;
    let forwarded = Variant::all()?.into_iter().filter(|variant| variant.status == 200).collect();
    bench.measure(&binary, forwarded, Some(upstream.address()))
}

/// What all runs have in common.
struct Bench {
    rounds: usize,
    /// Signs for Envoy and for the upstream.
    authority: CertificateAuthority,
}

impl Bench {
    fn measure(
        &self,
        binary: &EnvoyBinary,
        variants: Vec<Variant>,
        upstream: Option<SocketAddr>,
    ) -> Result<()> {
        let mut runners = variants
            .into_iter()
            .map(|variant| self.start(binary, variant, upstream))
            .collect::<Result<Vec<_>>>()?;
        for _ in 0..self.rounds {
            for runner in &mut runners {
                let before = runner.envoy.processor_time()?;
                runner.load.send(REQUESTS, runner.variant.status)?;
                let time = runner.envoy.processor_time()? - before;
                runner.times.push(time as f64 / REQUESTS as f64);
            }
        }
        print(&runners)
    }

    fn start(&self, binary: &EnvoyBinary, variant: Variant, upstream: Option<SocketAddr>) -> Result<Runner> {
        let certificate = self.authority.issue(&[variant::HOST])?;
        let filters = variant.filters.clone();
        let mut envoy = Envoy::start(binary, |folder| {
            std::fs::write(folder.join("server.crt"), &certificate.chain_pem)?;
            std::fs::write(folder.join("server.key"), &certificate.key_pem)?;
            std::fs::write(folder.join("upstream.crt"), self.authority.pem())?;
            Ok(answering(folder, filters, upstream))
        })
        .with_context(|| variant.name.clone())?;
        let listener = envoy.directory().join("listener");
        envoy.wait("start of Envoy", |_| std::os::unix::net::UnixStream::connect(&listener).ok())?;
        let mut load = Load::connect(&listener, variant::HOST, &self.authority)?;
        // Until the VM has compiled what is used often.
        load.send(REQUESTS, variant.status).with_context(|| variant.name.clone())?;
        Ok(Runner { variant, envoy, load, times: Vec::new() })
    }
}

fn print(runners: &[Runner]) -> Result<()> {
    let nothing = &runners.first().context("no variants")?.times;
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
