//! The policy document on disk: read at the start, read again when it changes. A bad one changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_policy::Policy;

use super::watched_files::WatchedFiles;
use crate::policy_document::{PolicyDocument, PolicyDocumentError};
use crate::report::{self, Style};

#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    document: PolicyDocument,
    files: WatchedFiles,
}

impl PolicyFile {
    /// Reads and compiles the document, and watches it from then on. `None` for one with faults, which are reported
    /// on stderr.
    pub(super) fn open(path: &Path) -> Result<Option<(Self, Arc<Policy>)>, PolicyDocumentError> {
        let document = PolicyDocument::read(path, &mut io::stdin().lock())?;
        let Some(policy) = compile(&document) else { return Ok(None) };
        let mut files = WatchedFiles::none();
        files.set([path]);
        Ok(Some((Self { path: path.to_owned(), document, files }, policy)))
    }

    /// Waits until the file may have changed. May be cancelled.
    pub(super) async fn changed(&mut self) {
        self.files.changed().await;
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
