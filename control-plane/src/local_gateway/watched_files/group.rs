//! Files that are loaded together. They are loaded again when one of them has changed and every changed one is whole.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::events::Event;
use super::source::{Change, Reload, Source};
use super::tracked_file::{Notice, TrackedFile};

/// The time for which files may keep changing before Weir reports it.
const RESTLESS: Duration = Duration::from_secs(15);

pub(super) struct Group {
    source: Box<dyn Source>,
    files: Vec<TrackedFile>,
    /// The time since which a change is not loaded, and whether that was reported.
    restless: Option<(Instant, bool)>,
    /// The time of the last load.
    loaded: Instant,
}

impl Group {
    /// Makes a group of files that were loaded from `loading` on.
    pub(super) fn new(source: Box<dyn Source>, loading: SystemTime, now: Instant) -> Self {
        let track = |path: PathBuf| {
            let text = source.text_of(&path);
            TrackedFile::new(path.clone(), Some(loading), text, now)
        };
        let files = unique(source.files()).into_iter().map(track).collect();
        Self { source, files, restless: None, loaded: now }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().flat_map(TrackedFile::entries)
    }

    pub(super) fn heard(&mut self, (entry, kind): &Event) {
        for file in &mut self.files {
            file.heard(entry, *kind);
        }
    }

    /// Looks at every file, and loads them if they are due.
    pub(super) fn look(&mut self, now: Instant, wall: SystemTime) -> Option<Change> {
        for file in &mut self.files {
            let path = file.path().display().to_string();
            match file.look(now) {
                Some(Notice::Lost(why)) => {
                    tracing::warn!(
                        why,
                        "`{path}` cannot be read any more; {} in force",
                        self.source.what_stays()
                    );
                }
                Some(Notice::Found) => tracing::warn!("`{path}` can be read again"),
                None => {}
            }
        }
        self.say_if_restless(now);
        if !self.is_due(now, wall) {
            return None;
        }
        // The files may change before, during and after the read. If they are unchanged after all of them were read,
        // the read content is the one that the look saw.
        let files = &self.files;
        let settled = |read: &[PathBuf]| {
            unique(read.to_vec())
                .iter()
                .all(|path| files.iter().any(|file| file.path() == path && file.is_unchanged(Instant::now())))
        };
        let source = AssertUnwindSafe(&mut self.source);
        let reload = catch_unwind(move || {
            let source = source;
            source.0.reload(&settled)
        });
        let reload = reload.unwrap_or_else(|_panic| {
            tracing::error!("a panic while files were read; {} in force", self.source.what_stays());
            Reload::Done(None)
        });
        self.track(now);
        match reload {
            Reload::Unsettled => None,
            Reload::Done(change) => {
                self.files.iter_mut().for_each(TrackedFile::loaded);
                (self.restless, self.loaded) = (None, now);
                change
            }
        }
    }

    /// Returns the time of the next look, if no event comes before.
    pub(super) fn look_at(&self, wall: SystemTime) -> Option<Instant> {
        let settling = self.changed().map(|file| file.settles_at(wall)).max();
        let notices = self.files.iter().filter_map(TrackedFile::notice_at);
        settling.into_iter().chain(notices).min()
    }

    fn is_due(&self, now: Instant, wall: SystemTime) -> bool {
        match self.changed().map(|file| file.settles_at(wall)).max() {
            Some(settled) => settled <= now,
            None => {
                self.source.interval().is_some_and(|interval| now.duration_since(self.loaded) >= interval)
            }
        }
    }

    fn changed(&self) -> impl Iterator<Item = &TrackedFile> {
        self.files.iter().filter(|file| file.is_changed())
    }

    /// Tracks the files that the source names now.
    fn track(&mut self, now: Instant) {
        let named = unique(self.source.files());
        self.files.retain(|file| named.iter().any(|path| path == file.path()));
        for path in named {
            if !self.files.iter().any(|file| file.path() == path) {
                self.files.push(TrackedFile::new(path, None, None, now));
            }
        }
    }

    fn say_if_restless(&mut self, now: Instant) {
        let Some(path) = self.changed().next().map(|file| file.path().display().to_string()) else {
            self.restless = None;
            return;
        };
        let (since, said) = self.restless.get_or_insert((now, false));
        let lasts = now.duration_since(*since);
        if lasts >= RESTLESS && !*said {
            *said = true;
            let seconds = lasts.as_secs();
            tracing::warn!(
                "`{path}` is being written for {seconds} s; until it is whole, {} in force",
                self.source.what_stays()
            );
        }
    }
}

/// Returns each path once, in absolute form.
fn unique(paths: Vec<PathBuf>) -> BTreeSet<PathBuf> {
    paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use tempfile::TempDir;

    use super::super::tracked_file::{CONFIRM, QUIET, YOUNG};
    use super::*;

    /// A file, its content at each reload, and an action to run while it is read.
    struct Text {
        path: PathBuf,
        read: Arc<Mutex<Vec<String>>>,
        meanwhile: Box<dyn FnMut() + Send>,
    }

    impl Source for Text {
        fn files(&self) -> Vec<PathBuf> {
            vec![self.path.clone()]
        }

        fn what_stays(&self) -> &'static str {
            "the old text stays"
        }

        fn reload(&mut self, settled: &dyn Fn(&[PathBuf]) -> bool) -> Reload {
            let text = fs::read_to_string(&self.path).unwrap();
            (self.meanwhile)();
            if !settled(&self.files()) {
                return Reload::Unsettled;
            }
            self.read.lock().unwrap().push(text);
            Reload::Done(Some(Change::SigningCa))
        }
    }

    struct Fixture {
        _folder: TempDir,
        path: PathBuf,
        read: Arc<Mutex<Vec<String>>>,
        group: Group,
        now: Instant,
    }

    impl Fixture {
        fn new(meanwhile: impl Fn(&Path) + Send + 'static) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (path, read) = (folder.path().join("a"), Arc::default());
            fs::write(&path, "one").unwrap();
            let own = path.clone();
            let meanwhile = Box::new(move || meanwhile(&own));
            let text = Text { path: path.clone(), read: Arc::clone(&read), meanwhile };
            let now = Instant::now();
            let group = Group::new(Box::new(text), SystemTime::now() + YOUNG * 2, now);
            Self { _folder: folder, path, read, group, now }
        }

        /// Looks after some more time, and returns whether there was a change.
        fn look_after(&mut self, time: Duration) -> bool {
            self.now += time;
            self.group.look(self.now, SystemTime::now()).is_some()
        }

        fn read(&self) -> Vec<String> {
            self.read.lock().unwrap().clone()
        }
    }

    /// Returns the lines that are logged while `act` runs.
    fn logged(act: impl FnOnce()) -> String {
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&log);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&writer)))
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let log = log.lock().unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    struct Writer(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_edit_during_the_reload_is_no_part_of_it() {
        let edits = Mutex::new(vec!["three"]);
        let mut files = Fixture::new(move |path| {
            if let Some(text) = edits.lock().unwrap().pop() {
                fs::write(path, text).unwrap();
            }
        });
        fs::write(&files.path, "two").unwrap();
        assert!(!files.look_after(Duration::ZERO));
        assert!(!files.look_after(QUIET), "it changed while it was read");
        assert!(!files.look_after(CONFIRM), "the other edit is new");
        assert!(files.look_after(QUIET));
        assert_eq!(files.read(), ["three"]);
    }

    #[test]
    fn an_edit_that_is_undone_during_the_reload_is_no_part_of_it() {
        let edits = Mutex::new(1);
        let mut files = Fixture::new(move |path| {
            if std::mem::take(&mut *edits.lock().unwrap()) == 1 {
                // Longer than the granularity of the file system's clock.
                std::thread::sleep(Duration::from_millis(30));
                fs::write(path, "other").unwrap();
                fs::write(path, "two").unwrap();
            }
        });
        fs::write(&files.path, "two").unwrap();
        assert!(!files.look_after(Duration::ZERO));
        assert!(!files.look_after(QUIET), "what was read may be the other text");
        assert!(!files.look_after(CONFIRM));
        assert!(files.look_after(QUIET));
    }

    #[test]
    fn a_file_that_is_written_for_ever_is_said_once_and_never_loaded() {
        let mut files = Fixture::new(|_| ());
        let log = logged(|| {
            for number in 0..100 {
                fs::write(&files.path, format!("number {number}")).unwrap();
                assert!(!files.look_after(QUIET / 2));
            }
        });
        assert_eq!(
            log.matches("is being written for 15 s; until it is whole, the old text stays").count(),
            1
        );
        assert_eq!(files.read(), [""; 0]);
        assert!(!files.look_after(QUIET / 2));
        assert!(files.look_after(QUIET / 2), "it is loaded when it is left alone");
        assert_eq!(files.read(), ["number 99"]);
    }

    #[test]
    fn a_panic_leaves_what_is_in_force_and_the_next_edit_is_taken() {
        let panics = AtomicBool::new(true);
        let mut files = Fixture::new(move |_| assert!(!panics.swap(false, Ordering::SeqCst), "for the test"));
        fs::write(&files.path, "two").unwrap();
        let log = logged(|| {
            assert!(!files.look_after(Duration::ZERO));
            assert!(!files.look_after(QUIET));
        });
        assert!(log.contains("a panic while files were read; the old text stays in force"), "{log}");
        assert!(!files.look_after(QUIET), "once is enough");
        fs::write(&files.path, "three").unwrap();
        assert!(!files.look_after(Duration::ZERO));
        assert!(files.look_after(QUIET));
    }
}
