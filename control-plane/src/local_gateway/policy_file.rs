//! The policy document on disk and the files that it names. They are loaded at the start, and again when one of them
//! changes. A faulty edit changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::watched_files::{Change, Reload, Source};
use crate::input::loaded_policy::{self, FaultyFile, LoadOutcome, LoadedPolicy, NamedFile};
use crate::input::policy_text::{PolicyText, PolicyTextError};
use crate::input::upstream_files::UpstreamFiles;
use crate::output::report::{self, Style};
use crate::output::stream;

#[derive(Debug)]
pub(crate) struct PolicyFile {
    path: PathBuf,
    /// Whether the document can be read only once: standard input, or a pipe of a shell.
    once: bool,
    document: PolicyText,
    rego_files: Vec<NamedFile>,
    upstream_files: Arc<UpstreamFiles>,
    /// The files that the document names, from the last reading that found them.
    named: Vec<PathBuf>,
}

impl PolicyFile {
    /// Reads and compiles the document. Returns `None` for a document with faults, after it has reported them on
    /// stderr.
    pub(crate) fn open(path: &Path) -> Result<Option<(Self, LoadedPolicy)>, PolicyTextError> {
        let document = PolicyText::read(path, &mut io::stdin().lock())?.with_absolute_folder();
        let reading = LoadOutcome::new(&document);
        let named = named(&reading);
        let LoadOutcome { outcome, rego_files, upstream_files: _ } = reading;
        let Some(enforced) = reported(outcome) else { return Ok(None) };
        warn(&document, &enforced);
        let file = Self {
            path: path.to_owned(),
            once: path == Path::new("-") || path.metadata().is_ok_and(|metadata| !metadata.is_file()),
            document,
            rego_files,
            upstream_files: Arc::clone(&enforced.upstream_files),
            named,
        };
        Ok(Some((file, enforced)))
    }

    fn read(&self) -> Result<PolicyText, PolicyTextError> {
        if self.once { Ok(self.document.clone()) } else { PolicyText::read(&self.path, &mut io::empty()) }
    }
}

impl Source for PolicyFile {
    fn files(&self) -> Vec<PathBuf> {
        let document = (!self.once).then_some(&self.path);
        document.into_iter().chain(&self.named).cloned().collect()
    }

    fn text_of(&self, file: &Path) -> Option<&str> {
        let is_it = |path: &Path| std::path::absolute(path).is_ok_and(|path| path == file);
        if is_it(&self.path) {
            return Some(self.document.text());
        }
        self.rego_files.iter().find(|rego_file| is_it(&rego_file.path))?.text.as_deref()
    }

    fn what_stays(&self) -> &'static str {
        "the last good policy stays"
    }

    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
        let document = match self.read() {
            Ok(document) => document,
            Err(error) => {
                tracing::warn!(%error, "the last good policy stays in force");
                return Reload::Done(None);
            }
        };
        let reading = LoadOutcome::new(&document);
        let named = named(&reading);
        // The upstream files of a faulty document are unknown, so those of the last good one stay watched.
        if !named.is_empty() || reading.outcome.is_ok() {
            self.named = named;
        }
        if !settled(&self.files()) {
            return Reload::Unsettled;
        }
        let LoadOutcome { outcome, rego_files, upstream_files: _ } = reading;
        let same = document == self.document && rego_files == self.rego_files;
        (self.document, self.rego_files) = (document, rego_files);
        let enforced = reported(outcome);
        match &enforced {
            Some(enforced) if same && enforced.upstream_files == self.upstream_files => {
                return Reload::Done(None);
            }
            Some(enforced) => {
                warn(&self.document, enforced);
                self.upstream_files = Arc::clone(&enforced.upstream_files);
            }
            None => tracing::warn!("the last good policy stays in force"),
        }
        Reload::Done(enforced.map(Box::new).map(Change::Policy))
    }
}

fn named(reading: &LoadOutcome) -> Vec<PathBuf> {
    let rego_files = reading.rego_files.iter().map(|file| &file.path);
    rego_files.chain(&reading.upstream_files).cloned().collect()
}

/// Reports the warnings about a document on stderr.
fn warn(document: &PolicyText, LoadedPolicy { warnings, .. }: &LoadedPolicy) {
    if !warnings.is_empty() {
        let style = Style::for_stderr();
        stream::stderr().write(report::warnings(document.name(), document.text(), warnings, style));
    }
}

fn reported(outcome: Result<LoadedPolicy, Vec<FaultyFile>>) -> Option<LoadedPolicy> {
    let report = |files: &Vec<FaultyFile>| {
        stream::stderr().write(loaded_policy::report(files, Style::for_stderr()));
    };
    outcome.inspect_err(report).ok()
}
