//! The policy on this machine's own processor.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use weir_policy::{Effect, Policy, Request, Scheme};

use super::Measured;
use super::workload::{Kind, Workload};

/// Decisions that a time is the mean of, about.
const DECISIONS: usize = 500_000;

/// Loads the policy's bytes and asks everything of it.
pub(super) fn measure(workload: &Workload) -> Result<Measured> {
    let bytes: Box<[u8]> = workload.policy.as_bytes().into();
    let start = Instant::now();
    let policy = Policy::from_bytes(bytes)?;
    let load = start.elapsed().as_secs_f64();
    let decisions = Kind::ALL.into_iter().map(|kind| time(&policy, workload, kind));
    Ok(Measured { load, decisions: decisions.collect::<Result<_>>()? })
}

fn time(policy: &Policy, workload: &Workload, kind: Kind) -> Result<f64> {
    let (authorities, path) = workload.requests(kind);
    let rounds = (DECISIONS / authorities.len()).max(1);
    let start = Instant::now();
    let mut allowed = 0;
    for _ in 0..rounds {
        for authority in &authorities {
            let request = Request {
                scheme: Scheme::Https,
                authority: authority.as_bytes(),
                method: b"GET",
                path: path.as_bytes(),
                sni: Some(authority.as_bytes()),
                tunnel: None,
            };
            allowed += usize::from(policy.decide(black_box(&request)).effect == Effect::Allow);
        }
    }
    let time = start.elapsed();
    let decisions = rounds * authorities.len();
    ensure!(
        allowed == if kind.allows() { decisions } else { 0 },
        "{kind:?}: {allowed} of {decisions} allowed"
    );
    Ok(time.as_secs_f64() * 1e9 / decisions as f64)
}
