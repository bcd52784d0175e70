//! The policy document on disk: read at the start, read again when it changes. A bad one changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use weir_policy::{Faults, Policy};

use super::error::RunError;


/// An editor writes a file in several steps; what comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    source: String,
    events: mpsc::Receiver<()>,
    _watcher: Option<RecommendedWatcher>,
}

impl PolicyFile {
    /// Reads and compiles the document, and watches it from then on. Faults are reported on stderr.
    pub(super) fn open(path: &Path) -> Result<Result<(Self, Arc<Policy>), Faults>, RunError> {
        let source = read(path)?;
        let policy = match weir_policy::compile(&source) {
            Ok(policy) => Arc::new(policy),
            Err(faults) => {
                report(path, &faults);
                return Ok(Err(faults));
            }
        };
        let (sender, events) = mpsc::channel(1);
        let watcher = watch(path, sender)
            .inspect_err(|error| tracing::warn!(%error, "changes of the policy will not be noticed"))
            .ok();
        Ok(Ok((Self { path: path.to_owned(), source, events, _watcher: watcher }, policy)))
    }

    /// Waits until the file may have changed.
    pub(super) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SETTLE).await;
        while self.events.try_recv().is_ok() {}
    }

    /// The new policy, if there is one. A document that cannot be read or compiled is reported, and the last good
    /// policy stays in force.
    pub(super) fn reload(&mut self) -> Option<Arc<Policy>> {
        let source = match read(&self.path) {
            Ok(source) if source == self.source => return None,
            Ok(source) => source,
            // Between two steps of an editor the file may be gone; the next event tells.
            Err(error) => {
                tracing::warn!(%error, "the last good policy stays in force");
                return None;
            }
        };
        let compiled = weir_policy::compile(&source);
        match compiled {
            Ok(policy) => {
                tracing::warn!(version = %policy.version(), "the policy changed");
                self.source = source;
                Some(Arc::new(policy))
            }
            Err(faults) => {
                report(&self.path, &faults);
                tracing::warn!("the last good policy stays in force");
                self.source = source;
                None
            }
        }
    }
}

fn read(path: &Path) -> Result<String, RunError> {
    std::fs::read_to_string(path).map_err(|source| RunError::Read {
        path: path.to_owned(),
        source,
        help: "name the policy document with `--policy FILE`",
    })
}

/// Watches the folder: an editor replaces the file, and a watch on the file itself would be left with the old one.
fn watch(path: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let path = std::path::absolute(path).map_err(notify::Error::io)?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let touched = event.is_ok_and(|event| {
            !event.kind.is_access() && event.paths.iter().any(|touched| touched.file_name() == path.file_name())
        });
        if touched {
            // Full means that a change is waiting to be seen already.
            let _ = sender.try_send(());
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn report(path: &Path, faults: &Faults) {
    eprintln!("{}: {faults}", path.display());
}
