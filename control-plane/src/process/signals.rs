//! Signals that are sent to `weir run`: before it serves they end it, and then it passes them to its command.
//!
//! A thread takes the signals, so that a start that waits (for a lock, a file server, a policy at a terminal) ends on
//! one as well. Process 1 of a container needs that more than others: the kernel ignores signals that it does not handle.
//!
//! A terminal sends Ctrl-C, Ctrl-\ and its own end to each process of the foreground, so the command has those already.
//! The kernel marks them (`SI_KERNEL` of sigaction(2)).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use tokio::sync::Notify;

use crate::output::stream;

/// Signals that end `weir`.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
/// Signals whose meaning a command may define.
const USERS: [i32; 2] = [SIGUSR1, SIGUSR2];
/// The kernel sent it, and no process (asm-generic/siginfo.h).
const SI_KERNEL: i32 = 0x80;

/// A signal that was sent to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedSignal {
    /// The signal.
    pub signal: Signal,
    /// Whether the terminal sent the signal, to every process of its foreground.
    pub is_from_terminal: bool,
}

/// The signals that are sent to this process.
#[derive(Debug)]
pub struct Signals {
    phase: Arc<Mutex<Phase>>,
}

#[derive(Debug)]
enum Phase {
    /// A signal ends the process, which removes this folder.
    Starting(Option<PathBuf>),
    /// A signal is passed on.
    Serving(Arc<PendingSignals>),
}

/// The signals that wait for the caller, in the order of their arrival. Each waits once, as in the kernel, however many
/// others arrive.
#[derive(Debug, Default)]
pub struct PendingSignals {
    signals: Mutex<VecDeque<ReceivedSignal>>,
    arrived: Notify,
}

impl Signals {
    /// Handles the signals from now on: each ends the process, with the exit code that a shell reports for it. A signal
    /// that this process inherited as ignored stays ignored, also for its children (`nohup`). There are two exceptions:
    /// SIGTERM always ends the process, and SIGINT does where there is no command. A script's shell lets what it starts in
    /// the background ignore SIGINT.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn handle(has_command: bool) -> io::Result<Self> {
        let ignored = ignored();
        let always = |signal| signal == SIGTERM || signal == SIGINT && !has_command;
        let all = ENDING.into_iter().chain(USERS.into_iter().filter(|_| has_command));
        let handled = all.filter(|signal| always(*signal) || ignored & bit(*signal) == 0);
        let mut signals = SignalsInfo::<WithRawSiginfo>::new(handled)?;
        let phase = Arc::new(Mutex::new(Phase::Starting(None)));
        let receiving = Arc::clone(&phase);
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            for info in signals.forever() {
                lock(&receiving).receive(info.si_signo, info.si_code);
            }
        })?;
        Ok(Self { phase })
    }

    /// Also removes this folder when a signal ends the process.
    pub(crate) fn also_remove(&self, folder: &Path) {
        if let Phase::Starting(to_remove) = &mut *lock(&self.phase) {
            *to_remove = Some(folder.to_owned());
        }
    }

    /// Passes the signals to the caller from now on.
    pub fn pass(self) -> Arc<PendingSignals> {
        let pending = Arc::<PendingSignals>::default();
        *lock(&self.phase) = Phase::Serving(Arc::clone(&pending));
        pending
    }
}

impl PendingSignals {
    /// Waits for the next signal. The future may be cancelled. To be called by one caller at a time.
    pub async fn next(&self) -> ReceivedSignal {
        loop {
            let first = lock(&self.signals).pop_front();
            match first {
                Some(signal) => return signal,
                None => self.arrived.notified().await,
            }
        }
    }

    fn add(&self, signal: ReceivedSignal) {
        let mut signals = lock(&self.signals);
        if !signals.contains(&signal) {
            signals.push_back(signal);
        }
        self.arrived.notify_one();
    }
}

impl Phase {
    fn receive(&self, number: i32, code: i32) {
        let Some(signal) = Signal::from_named_raw(number) else { return };
        match self {
            Self::Starting(folder) => {
                stream::finish();
                if let Some(folder) = folder {
                    let _ = std::fs::remove_dir_all(folder);
                }
                std::process::exit(128 + number);
            }
            Self::Serving(pending) => {
                pending.add(ReceivedSignal { signal, is_from_terminal: code == SI_KERNEL });
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals that are ignored, a bit for each (`SigIgn` of proc(5)). None where there is no /proc.
fn ignored() -> u64 {
    ignored_in(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_waits_once_and_behind_no_more_than_one_of_each_other() {
        let pending = PendingSignals::default();
        let received = |signal, is_from_terminal| ReceivedSignal { signal, is_from_terminal };
        for _ in 0..1_000 {
            pending.add(received(Signal::USR1, false));
            pending.add(received(Signal::HUP, false));
            pending.add(received(Signal::HUP, true));
        }
        pending.add(received(Signal::TERM, false));
        let expected = [
            received(Signal::USR1, false),
            received(Signal::HUP, false),
            received(Signal::HUP, true),
            received(Signal::TERM, false),
        ];
        for signal in expected {
            assert_eq!(pending.next().await, signal);
        }
        pending.add(received(Signal::TERM, false));
        assert_eq!(pending.next().await, received(Signal::TERM, false), "it may arrive again");
        assert!(lock(&pending.signals).is_empty());
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_of_the_process() {
        let ignored = ignored_in("Name:\tweir\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n");
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(|signal| ignored & bit(signal) != 0), [true, false, false]);
        assert_eq!(ignored_in(""), 0);
    }
}
