//! Inotify events for the entries on the way to watched files. Where inotify does not work, as on a network file
//! system, the next look finds a change; so an error here delays a change by at most a second.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// The maximum number of waiting events. The next look finds changes beyond it.
const QUEUE: usize = 256;

/// The kind of a change to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Another file, or none, has the entry's name now.
    Renamed,
    /// The file was made or removed.
    Made,
    /// A program has written to the file, and may write more.
    Written,
    /// A writer has closed the file.
    Closed,
    /// Another property of the file has changed.
    Touched,
}

pub(super) type Event = (PathBuf, Kind);

#[derive(Debug)]
pub(super) struct Events {
    entries: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// The watched folders by path, each with the device and inode that it had then.
    folders: BTreeMap<PathBuf, (u64, u64)>,
    watcher: Option<RecommendedWatcher>,
}

impl Events {
    pub(super) fn new() -> (Self, Receiver<Event>) {
        let (sender, receiver) = sync_channel(QUEUE);
        let entries = Arc::new(Mutex::new(BTreeSet::new()));
        let watched = Arc::clone(&entries);
        let mut last = None;
        let watcher = notify::recommended_watcher(move |event| forward(&event, &watched, &sender, &mut last));
        let watcher = watcher
            .inspect_err(|error| tracing::info!(%error, "no events of files: they are looked at"))
            .ok();
        (Self { entries, folders: BTreeMap::new(), watcher }, receiver)
    }

    /// Watches these entries, and no others.
    pub(super) fn watch(&mut self, entries: BTreeSet<PathBuf>) {
        let identity = |folder: &Path| folder.metadata().ok().map(|found| (found.dev(), found.ino()));
        let folders: BTreeSet<&Path> = entries.iter().filter_map(|entry| entry.parent()).collect();
        let folders: BTreeMap<PathBuf, (u64, u64)> =
            folders.into_iter().filter_map(|folder| Some((folder.to_owned(), identity(folder)?))).collect();
        if let Some(watcher) = self.watcher.as_mut().filter(|_| folders != self.folders) {
            for (folder, identity) in &self.folders {
                if folders.get(folder) != Some(identity) {
                    // The folder may no longer exist.
                    let _ = watcher.unwatch(folder);
                }
            }
            for (folder, identity) in &folders {
                if self.folders.get(folder) != Some(identity) {
                    let watching = watcher.watch(folder, RecursiveMode::NonRecursive);
                    let _ = watching.inspect_err(|error| {
                        tracing::info!(%error, folder = %folder.display(), "no events: its files are looked at");
                    });
                }
            }
        }
        self.folders = folders;
        *self.entries.lock().unwrap_or_else(PoisonError::into_inner) = entries;
    }
}

fn forward(
    event: &notify::Result<notify::Event>,
    watched: &Mutex<BTreeSet<PathBuf>>,
    sender: &SyncSender<Event>,
    last: &mut Option<Event>,
) {
    let Ok(event) = event else { return };
    let Some(kind) = kind(event.kind) else { return };
    let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
    for path in event.paths.iter().filter(|path| watched.contains(*path)) {
        let event = (path.clone(), kind);
        // A file that is written in a thousand pieces must not fill the queue before its writer closes it.
        if kind == Kind::Written && last.as_ref() == Some(&event) {
            continue;
        }
        // If the queue is full, a look is already due.
        if sender.try_send(event.clone()).is_ok() {
            *last = Some(event);
        }
    }
}

fn kind(kind: EventKind) -> Option<Kind> {
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Kind::Closed,
        // Every look opens the file, which must not cause another look.
        EventKind::Access(_) => return None,
        EventKind::Modify(ModifyKind::Name(_)) => Kind::Renamed,
        EventKind::Modify(ModifyKind::Data(_)) => Kind::Written,
        EventKind::Create(_) | EventKind::Remove(_) => Kind::Made,
        EventKind::Modify(ModifyKind::Metadata(_) | ModifyKind::Any | ModifyKind::Other)
        | EventKind::Any
        | EventKind::Other => Kind::Touched,
    })
}
