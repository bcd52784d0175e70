//! The CA of a run and the files that make clients trust it, kept up to date while it lasts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::settings;
use super::watched_files::{Change, Reload, Source};
use crate::ca::{Ca, CaError, CaFiles, Lifetimes};
use crate::folder::runtime::RuntimeFolder;
use crate::folder::state::StateFolder;
use crate::local_gateway::environment::{SystemRoots, TrustFiles};

/// How often the CA's files are looked at unasked: an old root ends on its own, and no change of a file tells.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) ca: Arc<Ca>,
    pub(crate) trust: TrustFiles,
    /// Where the trust files are.
    folder: StateFolder,
    /// Where the CA is, if Weir keeps it.
    kept: Option<StateFolder>,
    pub(crate) system: SystemRoots,
    files: Vec<PathBuf>,
}

impl Certificates {
    /// Opens the CA, the operator's if there is one, and writes the trust files: into the state folder, or for a CA that
    /// Weir does not keep, into the run's.
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

    /// Takes over the CA that the files hold now. If it is another one, the trust files are written, and leaves are to be
    /// renewed. Half a file is no CA, so only a failure asks whether the files are settled.
    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
        match self.ca.reload(SystemTime::now()) {
            Ok(false) => return Reload::Done(None),
            Ok(true) => {}
            Err(_) if !settled(&self.files) => return Reload::Unsettled,
            Err(error) => {
                tracing::warn!(%error, "the CA stays what it was");
                return Reload::Done(None);
            }
        }
        let authority = self.ca.authority();
        tracing::warn!(
            ca = authority.certificate().name(),
            trusted = authority.roots().len(),
            "the CA changed"
        );
        if let Err(error) = write(&self.ca, self.kept.as_ref(), &self.folder, &self.system) {
            tracing::error!(%error, "clients started from now on will not trust the new CA");
        }
        Reload::Done(Some(Change::Authority))
    }
}

/// Writes the trust files of the CA as it is on the disk: another run may have rotated it since it was read, and written
/// them already.
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
    Ok(TrustFiles::write(folder, &ca.authority(), system)?)
}
