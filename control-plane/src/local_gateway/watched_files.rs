//! Every file that is in force while Weir runs: the policy and what it names, roots, credentials, the CA.
//!
//! One thread looks at all of them, reads them again when they change, and puts what they hold into force; so neither a
//! slow file nor the time that a policy takes to compile delays anything else. A look asks the file system what a path
//! leads to now, whatever links, mounts and folders are on its way; it comes once a second, and at once on an event of
//! inotify ([`events`]). A change is loaded when the file is whole ([`tracked_file`]), and all files that are loaded
//! together are read as one ([`group`]).

mod entries;
mod events;
mod group;
mod sighting;
mod tracked_file;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::error::RunError;
use crate::input::loaded_policy::LoadedPolicy;
use crate::input::proxy_credentials::AcceptedCredentials;
use events::{Event, Events};
use group::Group;

/// How long a change goes unseen where no event tells of it. A look costs some system calls for each file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two looks, however many events come: a writer may write a thousand times a second.
const REST: Duration = Duration::from_millis(10);
/// How long a look may take before that is said: a file server does not answer, or a policy takes that long to compile.
const SLOW: Duration = Duration::from_secs(10);

/// A change to put into force.
#[derive(Debug)]
pub(crate) enum Change {
    Policy(Box<LoadedPolicy>),
    UpstreamRoots(Arc<str>),
    ProxyCredentials(AcceptedCredentials),
    Authority,
}

/// How a reload ended.
#[derive(Debug)]
pub(crate) enum Reload {
    /// The files changed while they were read: nothing is to be concluded from it.
    Unsettled,
    /// They were read, and mean something else than before, or not.
    Done(Option<Change>),
}

/// Files that are loaded together, and the loader that makes one change of them.
pub(crate) trait Source: Send {
    /// The files, also those that are not there. More may be named after a reload.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads the files again. Nothing is said and nothing kept of what was read unless it is `settled`, which tells of
    /// the files that were read, afterwards, whether they are what they were.
    fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload;

    /// The text that was read from one of them last, where it is kept.
    fn text_of(&self, _file: &Path) -> Option<&str> {
        None
    }

    /// What stays in force while they cannot be read.
    fn what_stays(&self) -> &'static str;

    /// How often they are read again although none has changed.
    fn interval(&self) -> Option<Duration> {
        None
    }
}

/// Watches the files of these sources, which were loaded from `loading` on, and applies each change, for as long as the
/// process lives. Called on a runtime.
pub(crate) fn watch(
    sources: Vec<Box<dyn Source>>,
    loading: SystemTime,
    apply: impl Fn(Change) + Send + 'static,
) -> Result<(), RunError> {
    let now = Instant::now();
    let (mut events, heard) = Events::new();
    let mut groups: Vec<Group> = sources.into_iter().map(|source| Group::new(source, loading, now)).collect();
    let looking = Arc::new(Mutex::new(None));
    tokio::spawn(say_if_slow(Arc::clone(&looking)));
    let thread = thread::Builder::new().name("files".to_owned());
    let watching = thread.spawn(move || {
        loop {
            let now = Instant::now();
            set(&looking, Some(now));
            for group in &mut groups {
                group.look(now, SystemTime::now()).into_iter().for_each(&apply);
            }
            events.watch(groups.iter().flat_map(Group::entries).cloned().collect());
            set(&looking, None);
            let wall = SystemTime::now();
            let next = groups.iter().filter_map(|group| group.look_at(wall)).min();
            thread::sleep(REST);
            let next = next.map_or(LOOK_INTERVAL, |next| next.saturating_duration_since(Instant::now()));
            for event in wait(&heard, next.min(LOOK_INTERVAL)) {
                groups.iter_mut().for_each(|group| group.heard(&event));
            }
        }
    });
    watching.map(drop).map_err(RunError::Thread)
}

/// The events that came, at the latest after `most`.
fn wait(heard: &Receiver<Event>, most: Duration) -> Vec<Event> {
    match heard.recv_timeout(most) {
        Ok(first) => std::iter::once(first).chain(heard.try_iter()).collect(),
        Err(RecvTimeoutError::Timeout) => Vec::new(),
        // Without a watcher there is nobody to send any.
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(most);
            Vec::new()
        }
    }
}

type Looking = Mutex<Option<Instant>>;

fn set(looking: &Looking, since: Option<Instant>) {
    *looking.lock().unwrap_or_else(PoisonError::into_inner) = since;
}

/// Says once of each look that takes long that edits are not in force until it ends.
async fn say_if_slow(looking: Arc<Looking>) {
    let mut said = None;
    loop {
        tokio::time::sleep(SLOW / 2).await;
        let since = *looking.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_some_and(|since| since.elapsed() >= SLOW) && since != said {
            said = since;
            let seconds = SLOW.as_secs();
            tracing::warn!(
                "reading the policy and the other files takes more than {seconds} s: no edit is in force until it ends"
            );
        }
    }
}

#[cfg(test)]
mod tests;
