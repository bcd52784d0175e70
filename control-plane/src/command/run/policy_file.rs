//! The policy document on disk, with the files that it names: read at the start, read again when one of them changes. A
//! bad one changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::watched_files::WatchedFiles;
use crate::enforced::{self, Enforced, FaultyFile, NamedFile, Reading};
use crate::output_stream;
use crate::policy_document::{PolicyDocument, PolicyDocumentError};
use crate::report::Style;
use crate::upstream_files::UpstreamFiles;

#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    document: PolicyDocument,
    rego_files: Vec<NamedFile>,
    upstream_files: Arc<UpstreamFiles>,
    watched: WatchedFiles,
}

impl PolicyFile {
    /// Reads and compiles the document, and watches it and the files that it names from then on. `None` for one with
    /// faults, which are reported on stderr.
    pub(super) fn open(path: &Path) -> Result<Option<(Self, Enforced)>, PolicyDocumentError> {
        let document = PolicyDocument::read(path, &mut io::stdin().lock())?;
        let Reading { outcome, rego_files, upstream_files } = Reading::of(&document);
        let Some(enforced) = reported(outcome) else { return Ok(None) };
        let mut file = Self {
            path: path.to_owned(),
            document,
            rego_files,
            upstream_files: Arc::clone(&enforced.upstream_files),
            watched: WatchedFiles::none(),
        };
        file.watch(&upstream_files);
        Ok(Some((file, enforced)))
    }

    fn watch(&mut self, upstream_files: &[PathBuf]) {
        let rego_files = self.rego_files.iter().map(|file| &file.path);
        let named = rego_files.chain(upstream_files).chain([&self.path]);
        self.watched.set(named.map(PathBuf::as_path));
    }

    /// Waits until one of the files may have changed. May be cancelled.
    pub(super) async fn changed(&mut self) {
        self.watched.changed().await;
    }

    /// What is to be enforced now, if that is something else. A document or a file that cannot be used is reported, and
    /// the last good policy stays in force.
    pub(super) fn reload(&mut self) -> Option<Enforced> {
        // Between two steps of an editor the file may be gone; the next event tells.
        let document = PolicyDocument::read(&self.path, &mut io::empty())
            .inspect_err(|error| tracing::warn!(%error, "the last good policy stays in force"))
            .ok()?;
        let Reading { outcome, rego_files, upstream_files } = Reading::of(&document);
        let same = document == self.document && rego_files == self.rego_files;
        // The files that the upstreams of a faulty document name are not known: those of the last one stay watched.
        let named = !(rego_files.is_empty() && upstream_files.is_empty()) || outcome.is_ok();
        (self.document, self.rego_files) = (document, rego_files);
        if named {
            self.watch(&upstream_files);
        }
        let enforced = reported(outcome);
        match &enforced {
            Some(enforced) if same && enforced.upstream_files == self.upstream_files => return None,
            Some(enforced) => {
                tracing::warn!(version = %enforced.version(), "the policy changed");
                self.upstream_files = Arc::clone(&enforced.upstream_files);
            }
            None => tracing::warn!("the last good policy stays in force"),
        }
        enforced
    }
}

fn reported(outcome: Result<Enforced, Vec<FaultyFile>>) -> Option<Enforced> {
    let report = |files: &Vec<FaultyFile>| {
        output_stream::stderr().write(enforced::report(files, Style::of_stderr()));
    };
    outcome.inspect_err(report).ok()
}
