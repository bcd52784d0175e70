//! The policy in native code.

use std::hint::black_box;

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use weir_policy::{Effect, Policy, Request, Scheme};

use super::Measured;
use super::workload::{Kind, Workload};

/// The approximate number of decisions that each mean covers.
const DECISIONS: usize = 500_000;

/// Loads the policy's bytes and makes every decision of the workload.
pub(super) fn measure(workload: &Workload) -> Result<Measured> {
    let bytes: Box<[u8]> = workload.policy.as_bytes().into();
    let start = processor_time();
    let policy = Policy::from_bytes(bytes)?;
    let load = processor_time() - start;
    let decisions = Kind::ALL.into_iter().map(|kind| time(&policy, workload, kind));
    Ok(Measured { load, memory: None, decisions: decisions.collect::<Result<_>>()? })
}

fn time(policy: &Policy, workload: &Workload, kind: Kind) -> Result<f64> {
    let (authorities, path) = workload.requests(kind);
    let rounds = (DECISIONS / authorities.len()).max(1);
    let start = processor_time();
    let mut allowed = 0;
    for _ in 0..rounds {
        for authority in &authorities {
            let request = Request {
                scheme: Scheme::Https,
                authority: authority.as_bytes(),
                method: b"GET",
                path: path.as_bytes(),
                server_name: Some(authority.as_bytes()),
                tunnel: None,
            };
            allowed += usize::from(policy.decide(black_box(&request)).effect == Effect::Allow);
        }
    }
    let time = processor_time() - start;
    let decisions = rounds * authorities.len();
    ensure!(
        allowed == if kind.allows() { decisions } else { 0 },
        "{kind:?}: {allowed} of {decisions} allowed"
    );
    Ok(time * 1e9 / decisions as f64)
}

/// The processor time of this thread in seconds, which excludes other work of the machine.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
