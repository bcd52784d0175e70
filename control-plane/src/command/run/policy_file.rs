//! The policy document on disk: read at the start, read again when it changes. A bad one changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_policy::Policy;

use super::watched_files::WatchedFiles;
use crate::policy_document::{PolicyDocument, PolicyDocumentError};
use crate::report::{self, Style};
use crate::upstream_files::UpstreamFiles;

#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    document: PolicyDocument,
    files: Arc<UpstreamFiles>,
    watched: WatchedFiles,
}

/// A policy and what the files hold that it names.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Arc<Policy>,
    pub(super) files: Arc<UpstreamFiles>,
}

impl PolicyFile {
    /// Reads and compiles the document, and watches it and the files that it names from then on. `None` for one with
    /// faults, which are reported on stderr.
    pub(super) fn open(path: &Path) -> Result<Option<(Self, Loaded)>, PolicyDocumentError> {
        let document = PolicyDocument::read(path, &mut io::stdin().lock())?;
        let mut watched = WatchedFiles::none();
        let Some(loaded) = load(&document, path, &mut watched) else { return Ok(None) };
        let files = Arc::clone(&loaded.files);
        Ok(Some((Self { path: path.to_owned(), document, files, watched }, loaded)))
    }

    /// Waits until one of the files may have changed. May be cancelled.
    pub(super) async fn changed(&mut self) {
        self.watched.changed().await;
    }

    /// The new policy, if there is one. A document or a file that cannot be used is reported, and the last good policy
    /// stays in force.
    pub(super) fn reload(&mut self) -> Option<Loaded> {
        // Between two steps of an editor the file may be gone; the next event tells.
        let document = PolicyDocument::read(&self.path, &mut io::empty())
            .inspect_err(|error| tracing::warn!(%error, "the last good policy stays in force"))
            .ok()?;
        let same = document == self.document;
        self.document = document;
        let loaded = load(&self.document, &self.path, &mut self.watched);
        match &loaded {
            Some(loaded) if same && loaded.files == self.files => return None,
            Some(loaded) => {
                tracing::warn!(version = %loaded.policy.version(), "the policy changed");
                self.files = Arc::clone(&loaded.files);
            }
            None => tracing::warn!("the last good policy stays in force"),
        }
        loaded
    }
}

fn load(document: &PolicyDocument, path: &Path, watched: &mut WatchedFiles) -> Option<Loaded> {
    // The files of a faulty policy are not known: those of the last one stay watched.
    if let Ok(policy) = document.compile() {
        let files: Vec<_> = document.files(&policy).collect();
        watched.set(files.iter().map(PathBuf::as_path).chain([path]));
    }
    let faults = match document.load() {
        Ok((policy, files)) => return Some(Loaded { policy: Arc::new(policy), files: Arc::new(files) }),
        Err(faults) => faults,
    };
    eprint!("{}", report::faults(document.name(), document.text(), &faults, Style::of_stderr()));
    None
}
