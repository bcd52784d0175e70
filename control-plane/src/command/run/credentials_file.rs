//! The credentials that the explicit proxy asks for: those of a file, which is read again when it changes.

use std::path::{Path, PathBuf};

use super::error::RunError;
use super::watched_files::WatchedFiles;
use crate::proxy_credentials::{AcceptedCredentials, ProxyCredentials, Salt};

#[derive(Debug)]
pub(super) struct CredentialsFile {
    path: PathBuf,
    salt: Salt,
    credentials: ProxyCredentials,
    file: WatchedFiles,
}

impl CredentialsFile {
    /// Reads the file, and watches it from then on.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let salt = Salt::draw()?;
        let credentials = ProxyCredentials::read(path, salt).map_err(RunError::ProxyCredentials)?;
        let mut file = WatchedFiles::none();
        file.set([path]);
        Ok(Self { path: path.to_owned(), salt, credentials, file })
    }

    pub(super) fn credentials(&self) -> &ProxyCredentials {
        &self.credentials
    }

    /// Waits until the file may have changed. May be cancelled.
    pub(super) async fn changed(&mut self) {
        self.file.changed().await;
    }

    /// What is accepted now, if that is something else. A file that cannot be used is reported, and the last good
    /// credentials stay.
    pub(super) fn reload(&mut self) -> Option<AcceptedCredentials> {
        let credentials = ProxyCredentials::read(&self.path, self.salt)
            .inspect_err(
                |error| tracing::warn!(%error, "the last good credentials of the proxy stay in force"),
            )
            .ok()?;
        let changed = credentials.accepted() != self.credentials.accepted();
        self.credentials = credentials;
        changed.then(|| {
            tracing::warn!("the credentials of the proxy changed");
            self.credentials.accepted().clone()
        })
    }
}
