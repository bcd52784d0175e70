//! Children that other processes left to this one: those of process 1 of a container, and those that a shell started
//! before it became `weir` (`sleep 1 & exec weir run …`). Each stays a zombie until its parent waits for it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

/// The children that this process started itself, and waits for.
static OWN: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// The kernel shows one ended child at a time. If that is one of this process's own children, the process looks again
/// after this time, and at most [`MOST_QUESTIONS`] times.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// The maximum number of looks.
const MOST_QUESTIONS: u32 = 50;

/// The numbers of own children. While it is held, no orphan is waited for.
pub(super) struct OwnChildren(MutexGuard<'static, Option<HashSet<u32>>>);

impl OwnChildren {
    pub(super) fn lock() -> Self {
        Self(OWN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn insert(&mut self, id: Option<u32>) {
        self.0.get_or_insert_default().extend(id);
    }

    pub(super) fn remove(&mut self, id: Option<u32>) {
        if let (Some(own), Some(id)) = (&mut *self.0, id) {
            own.remove(&id);
        }
    }

    fn contains(&self, pid: Pid) -> bool {
        let id = u32::try_from(pid.as_raw()).ok();
        self.0.as_ref().zip(id).is_some_and(|(own, id)| own.contains(&id))
    }
}

/// Waits for every orphan that has ended, for as long as this is polled.
pub async fn reap() {
    let Ok(mut ended) = signal(SignalKind::child()) else { return };
    loop {
        for _ in 0..MOST_QUESTIONS {
            if reap_ended() {
                break;
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
        if ended.recv().await.is_none() {
            return;
        }
    }
}

/// Waits for those that have ended. False if there may be others behind one of ours.
fn reap_ended() -> bool {
    let own = OwnChildren::lock();
    loop {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::All, look).ok().and_then(|status| status.pid()) {
            None => return true,
            Some(pid) if own.contains(pid) => return false,
            Some(pid) => {
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
        }
    }
}
