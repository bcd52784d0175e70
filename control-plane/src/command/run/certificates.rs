//! The CA of a run and the files that make clients trust it, kept up to date while it lasts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::settings;
use super::watched_files::WatchedFiles;
use crate::ca::{Ca, CaFiles, Lifetimes};
use crate::environment::{SystemRoots, TrustFiles};
use crate::runtime_folder::RuntimeFolder;
use crate::state_folder::StateFolder;

/// How often the CA's files are looked at unasked: an old root ends on its own, and no change of a file tells.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) ca: Arc<Ca>,
    pub(super) trust: TrustFiles,
    folder: StateFolder,
    pub(super) system: SystemRoots,
    files: WatchedFiles,
    look: Interval,
}

impl Certificates {
    /// Opens the CA, the operator's if there is one, and writes the trust files: into the state folder, or for a CA that
    /// Weir does not keep, into the run's.
    pub(super) fn open(
        files: Option<CaFiles>,
        state: Option<&Path>,
        lifetimes: Lifetimes,
        runtime: &RuntimeFolder,
        system: SystemRoots,
    ) -> anyhow::Result<Self> {
        let now = SystemTime::now();
        let (ca, folder, watched): (Ca, StateFolder, Vec<PathBuf>) = match files {
            Some(files) => {
                let watched = vec![files.certificate.clone(), files.key.clone()];
                (Ca::bring(files, lifetimes, now)?, StateFolder::open(&runtime.file("trust"))?, watched)
            }
            None => {
                let folder = StateFolder::open(&settings::state_path(state)?)?;
                let watched = vec![folder.file(crate::ca::root::CERTIFICATE_FILE)];
                (Ca::open(&folder, lifetimes, now)?, folder, watched)
            }
        };
        let trust = TrustFiles::write(&folder, &ca.authority(), &system)?;
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut files = WatchedFiles::none();
        files.set(watched.iter().map(PathBuf::as_path));
        Ok(Self { ca: Arc::new(ca), trust, folder, system, files, look })
    }

    /// Waits until the CA may be another one. May be cancelled.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = self.files.changed() => {}
            _ = self.look.tick() => {}
        }
    }

    /// Takes over the CA that the files hold now. True if it is another one: the trust files are written, and leaves are
    /// to be renewed. Files that hold none are said, and the CA stays what it was.
    pub(super) fn reload(&mut self) -> bool {
        match self.ca.reload(SystemTime::now()) {
            Ok(false) => return false,
            Ok(true) => {}
            Err(error) => {
                tracing::warn!(%error, "the CA stays what it was");
                return false;
            }
        }
        let authority = self.ca.authority();
        tracing::warn!(
            ca = authority.certificate().name(),
            trusted = authority.roots().len(),
            "the CA changed"
        );
        if let Err(error) = TrustFiles::write(&self.folder, &authority, &self.system) {
            tracing::error!(%error, "clients started from now on will not trust the new CA");
        }
        true
    }
}
