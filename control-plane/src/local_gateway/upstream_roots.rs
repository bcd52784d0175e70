//! The roots that verify upstreams: the system's, and those of a file that is read again when it changes.

use std::path::PathBuf;
use std::sync::Arc;

use super::certificates::Certificates;
use super::error::RunError;
use super::watched_files::{Change, Reload, Source};
use crate::input::certificate_file::{self, CertificateFileError};

#[derive(Debug)]
pub(crate) struct UpstreamRoots {
    system: String,
    added: Option<PathBuf>,
    all: Arc<str>,
}

impl UpstreamRoots {
    /// Reads the roots. Weir's own root, which the system may trust, is excluded: Weir must not vouch for upstreams.
    pub(crate) fn open(certificates: &Certificates, added: Option<PathBuf>) -> Result<Self, RunError> {
        for problem in &certificates.system.problems {
            tracing::warn!(problem, "not all of the system's roots could be read");
        }
        let signing_ca = certificates.ca.signing_ca();
        let roots = certificates.system.others(&signing_ca);
        let blocks: Vec<_> = roots.map(|certificate| pem::Pem::new("CERTIFICATE", certificate)).collect();
        let mut roots = Self { system: pem::encode_many(&blocks), added, all: Arc::default() };
        roots.all = roots.read().map_err(RunError::UpstreamRoots)?;
        // Without roots, Envoy would verify nothing.
        if roots.all.is_empty() { Err(RunError::NoUpstreamRoots) } else { Ok(roots) }
    }

    /// Returns all roots in PEM.
    pub(crate) fn pem(&self) -> Arc<str> {
        Arc::clone(&self.all)
    }

    fn read(&self) -> Result<Arc<str>, CertificateFileError> {
        let added = self.added.as_deref().map(certificate_file::read).transpose()?;
        Ok(format!("{}{}", self.system, added.unwrap_or_default()).into())
    }
}

impl Source for UpstreamRoots {
    fn files(&self) -> Vec<PathBuf> {
        self.added.iter().cloned().collect()
    }

    fn what_stays(&self) -> &'static str {
        "the last good roots of upstreams stay"
    }

    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
        let read = self.read();
        if !settled(&self.files()) {
            return Reload::Unsettled;
        }
        let roots = match read {
            Ok(roots) => roots,
            Err(error) => {
                tracing::warn!(%error, "the last good roots of upstreams stay in force");
                return Reload::Done(None);
            }
        };
        if roots == self.all {
            return Reload::Done(None);
        }
        tracing::warn!("the roots of upstreams changed");
        self.all = Arc::clone(&roots);
        Reload::Done(Some(Change::UpstreamRoots(roots)))
    }
}
