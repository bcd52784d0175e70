//! Files whose changes are noticed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A file is written in several steps, and some files change together; what comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct WatchedFiles {
    events: mpsc::Receiver<()>,
    /// When the change that was noticed last will be whole.
    settled: Option<Instant>,
    /// The files' names without their folders.
    names: Arc<Mutex<BTreeSet<OsString>>>,
    folders: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
}

impl WatchedFiles {
    pub(super) fn none() -> Self {
        let (sender, events) = mpsc::channel(1);
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let watched = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            if event.is_ok_and(|event| is_change(&event, &watched)) {
                // Full means that a change is waiting to be seen already.
                let _ = sender.try_send(());
            }
        })
        .inspect_err(not_noticed)
        .ok();
        Self { events, settled: None, names, folders: BTreeSet::new(), watcher }
    }

    /// Watches these files from now on, whether they are there or not.
    pub(super) fn set<'p>(&mut self, files: impl IntoIterator<Item = &'p Path>) {
        let files: Vec<PathBuf> =
            files.into_iter().filter_map(|file| std::path::absolute(file).ok()).collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) =
            files.iter().filter_map(|file| file.file_name()).map(OsString::from).collect();
        // An editor replaces the file, and a watch on the file itself would be left with the old one.
        let folders: BTreeSet<PathBuf> =
            files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&folders) {
            // It may be gone for good.
            let _ = watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            let _ = watcher.watch(new, RecursiveMode::NonRecursive).inspect_err(not_noticed);
        }
        self.folders = folders;
    }

    /// Waits until a file may have changed. May be cancelled: a change that was noticed is not forgotten.
    pub(super) async fn changed(&mut self) {
        let settled = match self.settled {
            Some(settled) => settled,
            None if self.events.recv().await.is_some() => *self.settled.insert(Instant::now() + SETTLE),
            None => std::future::pending().await,
        };
        tokio::time::sleep_until(settled).await;
        while self.events.try_recv().is_ok() {}
        self.settled = None;
    }
}

/// Whether one of the files was touched, or a whole folder of them was exchanged: Kubernetes does so behind the link
/// `..data`.
fn is_change(event: &notify::Event, names: &BTreeSet<OsString>) -> bool {
    let touched = |name: &std::ffi::OsStr| names.contains(name) || name == "..data";
    !event.kind.is_access() && event.paths.iter().any(|path| path.file_name().is_some_and(touched))
}

fn not_noticed(error: &notify::Error) {
    tracing::warn!(%error, "changes of files will not be noticed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_not_forgotten_when_waiting_for_it_is_cancelled() {
        let (sender, events) = mpsc::channel(1);
        let mut files = WatchedFiles { events, ..WatchedFiles::none() };
        sender.send(()).await.unwrap();
        // Another branch of a `select!` that is ready more often than a change takes to settle.
        let mut cancelled = 0;
        while tokio::time::timeout(SETTLE / 4, files.changed()).await.is_err() {
            cancelled += 1;
            assert!(cancelled < 5, "the change was forgotten");
        }
        assert!(cancelled > 0);
    }

    #[tokio::test]
    async fn a_file_that_is_put_in_place_of_another_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        let mut files = WatchedFiles::none();
        files.set([file.as_path()]);
        std::fs::write(&other, "new").unwrap();
        std::fs::rename(&other, &file).unwrap();
        tokio::time::timeout(Duration::from_secs(20), files.changed()).await.unwrap();
    }
}
