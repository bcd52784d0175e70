//! The credentials that the explicit proxy requires, from a file that is read again when it changes.

use std::path::{Path, PathBuf};

use super::error::RunError;
use super::watched_files::{Change, Reload, Source};
use crate::input::proxy_credentials::{ProxyCredentials, Salt};

#[derive(Debug)]
pub(crate) struct CredentialsFile {
    path: PathBuf,
    salt: Salt,
    credentials: ProxyCredentials,
}

impl CredentialsFile {
    /// Reads the credentials.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let salt = Salt::draw()?;
        let credentials = ProxyCredentials::read(path, salt).map_err(RunError::ProxyCredentials)?;
        Ok(Self { path: path.to_owned(), salt, credentials })
    }

    pub(crate) fn credentials(&self) -> &ProxyCredentials {
        &self.credentials
    }
}

impl Source for CredentialsFile {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn what_stays(&self) -> &'static str {
        "the last good credentials of the proxy stay"
    }

    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
        let read = ProxyCredentials::read(&self.path, self.salt);
        if !settled(&self.files()) {
            return Reload::Unsettled;
        }
        let credentials = match read {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::warn!(%error, "the last good credentials of the proxy stay in force");
                return Reload::Done(None);
            }
        };
        let changed = credentials.accepted() != self.credentials.accepted();
        self.credentials = credentials;
        if !changed {
            return Reload::Done(None);
        }
        tracing::warn!("the credentials of the proxy changed");
        Reload::Done(Some(Change::ProxyCredentials(self.credentials.accepted().clone())))
    }
}
