//! A source of settings: files that are loaded together, and the change that they make.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::input::loaded_policy::LoadedPolicy;
use crate::input::proxy_credentials::AcceptedCredentials;

/// A change to put into force.
#[derive(Debug)]
pub(crate) enum Change {
    Policy(Box<LoadedPolicy>),
    UpstreamRoots(Arc<str>),
    ProxyCredentials(AcceptedCredentials),
    SigningCa,
}

/// The result of a reload.
#[derive(Debug)]
pub(crate) enum Reload {
    /// The files changed while they were read, so the result must be discarded.
    Unsettled,
    /// The files were read. The result may be a change.
    Done(Option<Change>),
}

/// Files that are loaded together, and the code that makes one change of them.
pub(crate) trait Source: Send {
    /// Returns the files, including missing ones. A reload may add files.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads the files again. It logs and keeps nothing unless `settled` confirms, after the read, that these files
    /// have not changed.
    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload;

    /// Returns the text that was last read from a file, if the source keeps it.
    fn text_of(&self, _file: &Path) -> Option<&str> {
        None
    }

    /// Names what stays in force while the files cannot be read.
    fn what_stays(&self) -> &'static str;

    /// Returns the interval at which the files are read again without a change.
    fn interval(&self) -> Option<Duration> {
        None
    }
}
