//! The CA of a run and the trust files of its clients, kept up to date while the run lasts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::settings;
use super::watched_files::{Change, Reload, Source};
use crate::ca::{Ca, CaError, CaFiles, Lifetimes};
use crate::folder::runtime::RuntimeFolder;
use crate::folder::state::StateFolder;
use crate::local_gateway::environment::{SystemRoots, TrustFiles};

/// The interval at which the CA's files are read without a change: an old root expires without one.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) ca: Arc<Ca>,
    pub(crate) trust: TrustFiles,
    /// The folder of the trust files.
    folder: StateFolder,
    /// The folder of the CA, if Weir keeps the CA.
    kept: Option<StateFolder>,
    pub(crate) system: SystemRoots,
    files: Vec<PathBuf>,
}

impl Certificates {
    /// Opens the CA, or the operator's CA if there is one, and writes the trust files. They are in the state folder, or
    /// in the run's folder for a CA that Weir does not keep.
    pub(crate) fn open(
        files: Option<CaFiles>,
        state: Option<&Path>,
        lifetimes: Lifetimes,
        runtime: &RuntimeFolder,
        system: SystemRoots,
    ) -> anyhow::Result<Self> {
        let now = SystemTime::now();
        let (ca, kept, files): (Ca, Option<StateFolder>, Vec<PathBuf>) = match files {
            Some(files) => {
                let watched = vec![files.certificate.clone(), files.key.clone()];
                (Ca::open_external(files, lifetimes, now)?, None, watched)
            }
            None => {
                let folder = StateFolder::open(&settings::state_path(state)?)?;
                let watched = vec![folder.file(crate::ca::root::CERTIFICATE_FILE)];
                (Ca::open(&folder, lifetimes, now)?, Some(folder), watched)
            }
        };
        let folder = match &kept {
            Some(folder) => folder.clone(),
            None => StateFolder::open(&runtime.file("trust"))?,
        };
        let trust = write(&ca, kept.as_ref(), &folder, &system)?;
        Ok(Self { ca: Arc::new(ca), trust, folder, kept, system, files })
    }
}

impl Source for Certificates {
    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    fn what_stays(&self) -> &'static str {
        "the CA stays"
    }

    fn interval(&self) -> Option<Duration> {
        Some(LOOK_INTERVAL)
    }

    /// Loads the CA that the files hold now. If it is another one, this writes the trust files and requests a renewal
    /// of the leaves. A half-written file is never a valid CA, so only a failed load checks whether the files are
    /// settled.
    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
        match self.ca.reload(SystemTime::now()) {
            Ok(false) => return Reload::Done(None),
            Ok(true) => {}
            Err(_) if !settled(&self.files) => return Reload::Unsettled,
            Err(error) => {
                tracing::warn!(%error, "the CA stays unchanged");
                return Reload::Done(None);
            }
        }
        let signing_ca = self.ca.signing_ca();
        tracing::warn!(
            ca = signing_ca.certificate().name(),
            trusted = signing_ca.roots().len(),
            "the CA changed"
        );
        if let Err(error) = write(&self.ca, self.kept.as_ref(), &self.folder, &self.system) {
            tracing::error!(%error, "clients started from now on will not trust the new CA");
        }
        Reload::Done(Some(Change::SigningCa))
    }
}

/// Writes the trust files of the CA on disk. Another run may have rotated the CA since it was read, and written the
/// files already.
fn write(
    ca: &Ca,
    kept: Option<&StateFolder>,
    folder: &StateFolder,
    system: &SystemRoots,
) -> Result<TrustFiles, CaError> {
    let lock = kept.map(StateFolder::lock).transpose()?;
    if let Some(lock) = &lock {
        ca.reload_locked(lock, SystemTime::now())?;
    }
    Ok(TrustFiles::write(folder, &ca.signing_ca(), system)?)
}
