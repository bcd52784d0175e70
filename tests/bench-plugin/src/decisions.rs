//! Decisions, timed where they are made.

use std::hint::black_box;
use std::time::Instant;

use weir_policy::{Effect, Policy, Request, Scheme};

/// Decisions that are timed together.
const RUN: usize = 100;
/// Bytes of a page of the VM's memory.
const PAGE: usize = 65_536;

/// Loads and decides. The configuration: the policy's length (4 bytes, little endian) and bytes, then for each series the
/// number of rounds (4), the number of requests (4), and each request's authority and path, a byte of length before each.
///
/// Says, separated by spaces: nanoseconds to load, bytes of the VM's memory after that, and for each series the
/// nanoseconds of a decision and how many of its last round were allowed.
pub(crate) fn measure(mut bytes: Vec<u8>) -> Option<String> {
    let length = usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    let series = bytes.split_off(length.checked_add(4)?);
    bytes.drain(..4);
    let start = Instant::now();
    let policy = Policy::from_bytes(bytes).ok()?;
    let mut said = format!("{} {}", start.elapsed().as_nanos(), core::arch::wasm32::memory_size(0) * PAGE);
    let mut rest = series.as_slice();
    while !rest.is_empty() {
        let (nanoseconds, allowed) = time(&policy, &mut rest)?;
        said.push_str(&format!(" {nanoseconds} {allowed}"));
    }
    Some(said)
}

fn time(policy: &Policy, rest: &mut &[u8]) -> Option<(u128, usize)> {
    let rounds = u32::from_le_bytes(take::<4>(rest)?);
    let count = u32::from_le_bytes(take::<4>(rest)?);
    let requests: Vec<(&[u8], &[u8])> =
        (0..count).map(|_| Some((text(rest)?, text(rest)?))).collect::<Option<_>>()?;
    let mut allowed = 0;
    // The median of short runs: where the machine is shared, most of them are not interrupted, and a mean is all waiting.
    let mut times: Vec<u128> = Vec::new();
    for _ in 0..rounds {
        allowed = 0;
        for run in requests.chunks(RUN) {
            let start = Instant::now();
            allowed += run.iter().filter(|(authority, path)| is_allowed(policy, authority, path)).count();
            times.push(start.elapsed().as_nanos() / run.len() as u128);
        }
    }
    times.sort_unstable();
    Some((*times.get(times.len() / 2)?, allowed))
}

fn is_allowed(policy: &Policy, authority: &[u8], path: &[u8]) -> bool {
    let request = Request {
        scheme: Scheme::Https,
        authority,
        method: b"GET",
        path,
        server_name: Some(authority),
        tunnel: None,
    };
    policy.decide(black_box(&request)).effect == Effect::Allow
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let [length] = take::<1>(rest)?;
    let (text, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    Some(text)
}
