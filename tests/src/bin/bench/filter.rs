//! The filter's cost per request: the processor time of a whole Envoy with one worker, compared with an Envoy without
//! a filter.
//!
//! There are two measurements. In the first, Envoy answers the request itself, which is the smallest possible request
//! and adds nothing else to the number. In the second, Envoy forwards the request over TLS on kept connections, as a
//! gateway does. All Envoys run side by side and are measured in turns, round after round, so that other work of the
//! machine affects all of them alike. They are restarted several times, because the placement of a process in memory
//! makes up to a twentieth of the time.

mod load;
mod variant;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use e2e::{CertificateAuthority, EnvoyBinary, Nginx, ServerOptions, Site};

use self::load::Load;
use self::variant::Variant;
use crate::envoy::{Envoy, answering};

/// How often all Envoys are started.
const STARTS: usize = 5;
/// Rounds after each start. Every variant is measured once in a round.
const ROUNDS: usize = 12;
/// Requests of one variant in one round.
const REQUESTS: usize = 1_000;
/// Requests before the first round, until the VM has compiled its hot code.
const WARM_UP: usize = 20_000;

/// The Envoy of a variant.
struct Runner {
    envoy: Envoy,
    load: Load,
}

/// The measurements of a variant.
#[derive(Default)]
struct Measured {
    /// Nanoseconds per request, for each round.
    times: Vec<f64>,
    /// Resident bytes at the end.
    resident: u64,
}

/// Prints the ratios. The first argument is the number of starts.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let starts = arguments.first().map(|text| text.parse()).transpose()?.unwrap_or(STARTS);
    let binary = EnvoyBinary::newest()?;
    let bench = Bench { starts, authority: CertificateAuthority::new("Benches")? };
    println!(
        "Envoy {}, one worker, HTTP/1.1 over TLS, {starts} starts with {ROUNDS} rounds of {REQUESTS} requests each.\n\n\
         Answered by Envoy itself:\n",
        binary.version
    );
    bench.measure(&binary, &Variant::all()?, None)?;
    println!("\nForwarded over TLS:\n");
    let site = Site::new(variant::HOST, bench.authority.issue(&[variant::HOST])?);
    let upstream = Nginx::start(&[site], ServerOptions::default())?;
    let forwarded: Vec<_> = Variant::all()?.into_iter().filter(|variant| variant.status == 200).collect();
    bench.measure(&binary, &forwarded, Some(upstream.address()))
}

/// The parts that all runs share.
struct Bench {
    starts: usize,
    /// Signs the certificates of Envoy and of the upstream.
    authority: CertificateAuthority,
}

impl Bench {
    fn measure(
        &self,
        binary: &EnvoyBinary,
        variants: &[Variant],
        upstream: Option<SocketAddr>,
    ) -> Result<()> {
        let mut measured: Vec<Measured> = variants.iter().map(|_| Measured::default()).collect();
        for _ in 0..self.starts {
            let started = variants.iter().map(|variant| self.start(binary, variant, upstream));
            let mut runners = started.collect::<Result<Vec<_>>>()?;
            for _ in 0..ROUNDS {
                for ((variant, runner), measured) in variants.iter().zip(&mut runners).zip(&mut measured) {
                    let before = runner.envoy.processor_time()?;
                    runner.load.send(REQUESTS, variant.status)?;
                    let time = runner.envoy.processor_time()? - before;
                    measured.times.push(time as f64 / REQUESTS as f64);
                }
            }
            for (runner, measured) in runners.iter().zip(&mut measured) {
                measured.resident = runner.envoy.resident()?;
            }
        }
        print(variants, &measured)
    }

    fn start(&self, binary: &EnvoyBinary, variant: &Variant, upstream: Option<SocketAddr>) -> Result<Runner> {
        let certificate = self.authority.issue(&[variant::HOST])?;
        let mut envoy = Envoy::start(binary, |folder| {
            std::fs::write(folder.join("server.crt"), &certificate.chain_pem)?;
            std::fs::write(folder.join("server.key"), &certificate.key_pem)?;
            std::fs::write(folder.join("upstream.crt"), self.authority.pem())?;
            Ok(answering(folder, variant.manager(), upstream))
        })
        .with_context(|| variant.name.clone())?;
        let listener = envoy.directory().join("listener");
        envoy.wait("start of Envoy", |_| std::os::unix::net::UnixStream::connect(&listener).ok())?;
        let mut load = Load::connect(&listener, variant::HOST, &self.authority)?;
        load.send(WARM_UP, variant.status).with_context(|| variant.name.clone())?;
        Ok(Runner { envoy, load })
    }
}

/// Prints the medians, and for each ratio the interquartile range over all rounds.
fn print(variants: &[Variant], measured: &[Measured]) -> Result<()> {
    let nothing = &measured.first().context("no variants")?.times;
    println!("| filter | µs a request | ratio | half of the rounds | resident |");
    println!("|---|---|---|---|---|");
    for (variant, Measured { times, resident }) in variants.iter().zip(measured) {
        let ratios = quartiles(times.iter().zip(nothing).map(|(time, nothing)| time / nothing));
        println!(
            "| {} | {:.1} | {:.2} | {:.2} to {:.2} | {} MB |",
            variant.name,
            quartiles(times.iter().copied())[1] / 1e3,
            ratios[1],
            ratios[0],
            ratios[2],
            resident / 1_000_000
        );
    }
    Ok(())
}

/// The first quartile, the median and the third quartile.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// The module file that this environment variable names.
fn module(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|file| file.is_file())
}
