//! Every file that is in force while Weir runs: the policy and the files that it names, roots, credentials, the CA.
//!
//! One thread looks at all of them, reads them again when they change, and puts their contents into force. So neither a
//! slow file nor a long compilation delays any other work. A look resolves the path anew through all links, mounts and
//! folders. It happens once a second, and at once on an event of inotify ([`events`]). A changed file is loaded when it
//! is whole ([`tracked_file`]), and files that belong together are read as one ([`group`]).

mod entries;
mod events;
mod group;
mod sighting;
mod source;
mod tracked_file;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::error::RunError;
use events::{Event, Events};
use group::Group;
pub(crate) use source::{Change, Reload, Source};

/// The interval between looks if no event reports a change. A look costs some system calls for each file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The minimum time between two looks, however many events arrive: a writer may write a thousand times a second.
const REST: Duration = Duration::from_millis(10);
/// The duration of a look after which Weir reports it: a file server does not answer, or a policy takes long to
/// compile.
const SLOW: Duration = Duration::from_secs(10);

/// Watches the files of these sources for as long as the process lives, and applies each change. The sources were
/// loaded from `loading` on. It must be called within a runtime.
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

/// Waits for events, for at most `most`.
fn wait(heard: &Receiver<Event>, most: Duration) -> Vec<Event> {
    match heard.recv_timeout(most) {
        Ok(first) => std::iter::once(first).chain(heard.try_iter()).collect(),
        Err(RecvTimeoutError::Timeout) => Vec::new(),
        // Without a watcher, no event ever arrives.
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

/// Reports once for each long look that edits are not in force until it ends.
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
