//! The roots that upstreams are verified by: the system's, and those of a file, which is read again when it changes.

use std::path::PathBuf;
use std::sync::Arc;

use super::certificates::Certificates;
use super::error::RunError;
use super::watched_files::WatchedFiles;
use crate::certificate_file::{self, CertificateFileError};

#[derive(Debug)]
pub(super) struct UpstreamRoots {
    system: String,
    added: Option<PathBuf>,
    all: Arc<str>,
    files: WatchedFiles,
}

impl UpstreamRoots {
    /// Reads the file, and watches it from then on. Weir's own root, which a system may trust, is never one of them:
    /// upstreams are not ours to vouch for.
    pub(super) fn open(certificates: &Certificates, added: Option<PathBuf>) -> Result<Self, RunError> {
        for problem in &certificates.system.problems {
            tracing::warn!(problem, "not all of the system's roots could be read");
        }
        let authority = certificates.ca.authority();
        let roots = certificates.system.others(&authority);
        let blocks: Vec<_> = roots.map(|certificate| pem::Pem::new("CERTIFICATE", certificate)).collect();
        let mut files = WatchedFiles::none();
        files.set(added.as_deref());
        let mut roots = Self { system: pem::encode_many(&blocks), added, all: Arc::default(), files };
        roots.all = roots.read().map_err(RunError::UpstreamRoots)?;
        // Envoy takes no roots for a reason to verify nothing.
        if roots.all.is_empty() { Err(RunError::NoUpstreamRoots) } else { Ok(roots) }
    }

    /// All of them, in PEM.
    pub(super) fn pem(&self) -> Arc<str> {
        Arc::clone(&self.all)
    }

    /// Waits until the file may have changed. May be cancelled.
    pub(super) async fn changed(&mut self) {
        self.files.changed().await;
    }

    /// The new roots, if there are any. A file that cannot be read is reported, and the last good roots stay.
    pub(super) fn reload(&mut self) -> Option<Arc<str>> {
        let roots = self
            .read()
            .inspect_err(|error| tracing::warn!(%error, "the last good roots of upstreams stay in force"))
            .ok()?;
        if roots == self.all {
            return None;
        }
        tracing::warn!("the roots of upstreams changed");
        self.all = Arc::clone(&roots);
        Some(roots)
    }

    fn read(&self) -> Result<Arc<str>, CertificateFileError> {
        let added = self.added.as_deref().map(certificate_file::read).transpose()?;
        Ok(format!("{}{}", self.system, added.unwrap_or_default()).into())
    }
}
