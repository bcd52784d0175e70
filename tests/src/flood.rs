//! A flood of connections with unlisted names, as fast as possible, while a client keeps using a listed host.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use crate::{ALPHA, Dialler, RunningGateway, UpstreamHosts};

/// The number of parallel connections.
const DIALLERS: usize = 8;

/// The results of a flood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    /// Handshakes that got a certificate and whose request was then denied.
    pub denied: usize,
    /// Handshakes that were refused.
    pub refused: usize,
    /// Successful requests to the listed host. Any failed one is an error.
    pub listed: usize,
}

impl Flood {
    /// Connects through the gateway with `x0.weir.invalid` and so on, one name for each number, and meanwhile uses a
    /// listed host.
    pub fn new(numbers: Range<usize>, gateway: &RunningGateway, hosts: &UpstreamHosts) -> Result<Self> {
        let dialler = Dialler::new(gateway.address()?, gateway.authority())?;
        let (next, over) = (AtomicUsize::new(numbers.start), AtomicBool::new(false));
        let dial = || -> Result<Self> {
            let mut flood = Self::default();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= numbers.end {
                    return Ok(flood);
                }
                match dialler.dial(&format!("x{number}.weir.invalid"), hosts.port())? {
                    Some(_) => flood.denied += 1,
                    None => flood.refused += 1,
                }
            }
        };
        let ask = || -> Result<usize> {
            let mut answered = 0;
            while answered == 0 || !over.load(Ordering::SeqCst) {
                let dialled = dialler.dial(ALPHA, hosts.port())?;
                let status = dialled
                    .context("the handshake with the listed host was refused")?
                    .get(&hosts.authority(ALPHA))?;
                ensure!(status == 200, "the listed host answered {status}");
                answered += 1;
            }
            Ok(answered)
        };
        std::thread::scope(|scope| {
            let asking = scope.spawn(ask);
            let dialling: Vec<_> = (0..DIALLERS).map(|_| scope.spawn(dial)).collect();
            let dialled: Vec<_> = dialling.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            over.store(true, Ordering::SeqCst);
            let mut flood = Self { listed: joined(asking.join())?, ..Self::default() };
            for part in dialled {
                let part = joined(part)?;
                flood.denied += part.denied;
                flood.refused += part.refused;
            }
            Ok(flood)
        })
    }
}

fn joined<T>(thread: std::thread::Result<Result<T>>) -> Result<T> {
    thread.ok().context("a thread panicked")?
}
