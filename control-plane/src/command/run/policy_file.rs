//! The policy document on disk: read at the start, read again when it changes. A bad one changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_policy::Policy;

use crate::policy_document::{PolicyDocument, PolicyDocumentError};
use crate::report::{self, Style};

/// An editor writes a file in several steps; what comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    document: PolicyDocument,
    events: mpsc::Receiver<()>,
    /// When the change that was noticed last will be whole.
    settled: Option<Instant>,
    _watcher: Option<RecommendedWatcher>,
}

impl PolicyFile {
    /// Reads and compiles the document, and watches it from then on. `None` for one with faults, which are reported
    /// on stderr.
    pub(super) fn open(path: &Path) -> Result<Option<(Self, Arc<Policy>)>, PolicyDocumentError> {
        let document = PolicyDocument::read(path, &mut io::stdin().lock())?;
        let Some(policy) = compile(&document) else { return Ok(None) };
        let (sender, events) = mpsc::channel(1);
        let watcher = watch(path, sender)
            .inspect_err(|error| tracing::warn!(%error, "changes of the policy will not be noticed"))
            .ok();
        Ok(Some((Self { path: path.to_owned(), document, events, settled: None, _watcher: watcher }, policy)))
    }

    /// Waits until the file may have changed. May be cancelled: a change that was noticed is not forgotten.
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

    /// The new policy, if there is one. A document that cannot be read or compiled is reported, and the last good
    /// policy stays in force.
    pub(super) fn reload(&mut self) -> Option<Arc<Policy>> {
        // Between two steps of an editor the file may be gone; the next event tells.
        let document = PolicyDocument::read(&self.path, &mut io::empty())
            .inspect_err(|error| tracing::warn!(%error, "the last good policy stays in force"))
            .ok()?;
        if document == self.document {
            return None;
        }
        self.document = document;
        let policy = compile(&self.document);
        match &policy {
            Some(policy) => tracing::warn!(version = %policy.version(), "the policy changed"),
            None => tracing::warn!("the last good policy stays in force"),
        }
        policy
    }
}

fn compile(document: &PolicyDocument) -> Option<Arc<Policy>> {
    let faults = match document.compile() {
        Ok(policy) => return Some(Arc::new(policy)),
        Err(faults) => faults,
    };
    eprint!("{}", report::faults(document.name(), document.text(), &faults, Style::of_stderr()));
    None
}

/// Watches the folder: an editor replaces the file, and a watch on the file itself would be left with the old one.
fn watch(path: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let path = std::path::absolute(path).map_err(notify::Error::io)?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let touched = event.is_ok_and(|event| {
            !event.kind.is_access()
                && event.paths.iter().any(|touched| touched.file_name() == path.file_name())
        });
        if touched {
            // Full means that a change is waiting to be seen already.
            let _ = sender.try_send(());
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_not_forgotten_when_waiting_for_it_is_cancelled() {
        let (sender, events) = mpsc::channel(1);
        let document = PolicyDocument::read(Path::new("-"), &mut io::empty()).unwrap();
        let mut file = PolicyFile { path: PathBuf::new(), document, events, settled: None, _watcher: None };
        sender.send(()).await.unwrap();
        // Another branch of a `select!` that is ready more often than a change takes to settle.
        let mut cancelled = 0;
        while tokio::time::timeout(SETTLE / 4, file.changed()).await.is_err() {
            cancelled += 1;
            assert!(cancelled < 5, "the change was forgotten");
        }
        assert!(cancelled > 0);
    }
}
