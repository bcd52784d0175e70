//! Measures a client's wait for a handshake with a new name, and with a known one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::{Dialler, EnvoyBinary, Run, ServerOptions, UpstreamHosts};

const A_SECOND: usize = 500;
/// The duration of each table's handshakes, in seconds.
pub(super) const SECONDS: usize = 30;
/// The number of threads that make handshakes.
const DIALLERS: usize = 32;

pub(super) fn measure(seconds: usize) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = super::policy_with("*.contact.weir.test", &hosts);
    let gateway = Run::new(&EnvoyBinary::newest()?, &hosts, &policy)?.start()?;
    let dialler = Dialler::new(gateway.address()?, gateway.authority())?;
    let name = |number: usize| format!("n{number}.contact.weir.test");
    let all = A_SECOND * seconds;
    println!(
        "| contact, {A_SECOND} a second | handshakes | refused | p50 | p99 | most |\n|---|---|---|---|---|---|"
    );
    // A warm-up, so that no table begins with Envoy's one-time work.
    dial(&dialler, &|number| format!("w{number}.contact.weir.test"), A_SECOND)?;
    dial(&dialler, &name, all)?.print("first, a new name each time");
    dial(&dialler, &|number| name(all - 1 - number % 1_000), all)?.print("again, a thousand names");
    Ok(())
}

struct Waits {
    took: Vec<Duration>,
    refused: usize,
}

impl Waits {
    fn print(mut self, what: &str) {
        self.took.sort();
        let at = |share: usize| {
            self.took.get((self.took.len() * share / 1_000).min(self.took.len().saturating_sub(1)))
        };
        let [p50, p99, most] =
            [500, 990, 1_000].map(|share| at(share).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3));
        println!(
            "| {what} | {} | {} | {p50:.2} ms | {p99:.2} ms | {most:.1} ms |",
            self.took.len(),
            self.refused
        );
    }
}

/// Makes each number's handshake at its scheduled time, whether or not earlier ones have finished. The wait is
/// counted from the scheduled time.
fn dial(dialler: &Dialler, name: &(impl Fn(usize) -> String + Sync), count: usize) -> Result<Waits> {
    let (next, start) = (AtomicUsize::new(0), Instant::now() + Duration::from_millis(100));
    let work = || -> Result<Waits> {
        let mut waits = Waits { took: Vec::new(), refused: 0 };
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count {
                return Ok(waits);
            }
            let due = start + Duration::from_secs(1) * u32::try_from(number)? / u32::try_from(A_SECOND)?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            match dialler.dial(&name(number), 443)? {
                Some(_) => waits.took.push(due.elapsed()),
                None => waits.refused += 1,
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..DIALLERS).map(|_| scope.spawn(work)).collect();
        let mut all = Waits { took: Vec::new(), refused: 0 };
        for thread in threads {
            let waits = thread.join().ok().context("a dialler panicked")??;
            all.took.extend(waits.took);
            all.refused += waits.refused;
        }
        Ok(all)
    })
}
