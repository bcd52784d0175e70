//! A watched file over time: its content when it was loaded, its content now, and the time of its last change.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::entries::entries;
use super::events::Kind;
use super::sighting::{Content, Sighting};

/// The quiet time after which a file that is written in place counts as whole. A script that writes a file in several
/// commands pauses between them, and half a policy may allow requests that the whole policy denies.
pub(super) const QUIET: Duration = Duration::from_secs(1);
/// The quiet time for a file that a writer still has open. Only inotify reports writers.
pub(super) const HELD: Duration = Duration::from_secs(10);
/// The quiet time for a file that was complete from its first moment: renamed into place, or written long ago.
pub(super) const CONFIRM: Duration = Duration::from_millis(50);
/// The age from which on a file counts as written long ago. It exceeds the usual difference between the clocks of a
/// file server and of this machine.
const OLD: Duration = Duration::from_mins(1);
/// The age up to which a look reads a file's content as well as its stamp. Two writes within the granularity of a file
/// system's clock have one stamp; the coarsest, of FAT, is two seconds.
pub(super) const YOUNG: Duration = Duration::from_secs(3);
/// The time for which a file must be missing before Weir reports it: an editor may remove a file before it puts another
/// in its place.
pub(super) const OUT_OF_SIGHT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct TrackedFile {
    path: PathBuf,
    /// The folder entries on the way to the file.
    entries: Vec<PathBuf>,
    /// The content that was last loaded, or `None` if the file may have changed while it was loaded.
    loaded: Option<Content>,
    seen: Sighting,
    /// The time since which `seen` is unchanged.
    since: Instant,
    /// Whether the file was complete from its first moment.
    whole: bool,
    /// Whether the next look is the first after a rename.
    renamed: bool,
    /// Whether a writer has the file open.
    held: bool,
    sight: Sight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Never readable so far. The code that loads the file reports this.
    Never,
    Clear,
    /// Missing since this time.
    Lost(Instant),
    /// Missing, and reported.
    Said,
}

/// A report about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// There is no readable file any more, with the reason.
    Lost(String),
    /// The file can be read again.
    Found,
}

impl TrackedFile {
    /// Tracks a file. `loading` is the time at which it was loaded, with this `text` if the text was kept; `None` if it
    /// has not been loaded.
    pub(super) fn new(path: PathBuf, loading: Option<SystemTime>, text: Option<&str>, now: Instant) -> Self {
        let seen = Sighting::new(&path, None, false);
        let loaded = loading.filter(|loading| match (text, seen.stamp()) {
            (Some(text), Some(_)) => seen.holds(text),
            // The file may have been written between `loading` and now.
            (None, Some(stamp)) => stamp.is_older_than(*loading, YOUNG),
            (_, None) => true,
        });
        let loaded = loaded.map(|_| seen.content());
        let sight = if seen.stamp().is_some() { Sight::Clear } else { Sight::Never };
        let entries = entries(&path);
        Self { path, entries, loaded, seen, since: now, whole: false, renamed: false, held: false, sight }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder entries on the way to the file.
    pub(super) fn entries(&self) -> &[PathBuf] {
        &self.entries
    }

    /// Handles an event.
    pub(super) fn heard(&mut self, entry: &Path, kind: Kind) {
        if !self.entries.iter().any(|found| found == entry) {
            return;
        }
        let is_file = self.entries.last().is_some_and(|last| last == entry);
        match kind {
            Kind::Renamed => (self.renamed, self.held) = (true, false),
            Kind::Made => self.held = false,
            // A rename that moved the old file away says nothing about a file that is being written in its place.
            Kind::Written if is_file => (self.renamed, self.whole, self.held) = (false, false, true),
            Kind::Closed if is_file => self.held = false,
            Kind::Written | Kind::Closed | Kind::Touched => {}
        }
    }

    /// Looks at the file. Returns a report, if there is one.
    pub(super) fn look(&mut self, now: Instant) -> Option<Notice> {
        self.entries = entries(&self.path);
        let seen = Sighting::new(&self.path, Some(&self.seen), self.is_trusted(now));
        if seen != self.seen {
            (self.seen, self.since, self.whole) = (seen, now, false);
        }
        self.whole |= std::mem::take(&mut self.renamed);
        match (&self.seen, self.sight) {
            (Sighting::File { .. }, Sight::Said) => {
                self.sight = Sight::Clear;
                Some(Notice::Found)
            }
            (Sighting::File { .. }, _) => {
                self.sight = Sight::Clear;
                None
            }
            (Sighting::Unreadable(_), Sight::Clear) => {
                self.sight = Sight::Lost(now);
                None
            }
            (Sighting::Unreadable(why), Sight::Lost(since)) if now.duration_since(since) >= OUT_OF_SIGHT => {
                self.sight = Sight::Said;
                Some(Notice::Lost(why.clone()))
            }
            (Sighting::Unreadable(_), Sight::Lost(_) | Sight::Said | Sight::Never) => None,
        }
    }

    /// Returns whether the file is unchanged since the last look.
    pub(super) fn is_unchanged(&self, now: Instant) -> bool {
        Sighting::new(&self.path, Some(&self.seen), self.is_trusted(now)) == self.seen
    }

    fn is_trusted(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= YOUNG
    }

    /// Returns whether the file has loadable content that differs from the loaded one.
    pub(super) fn is_changed(&self) -> bool {
        self.seen.stamp().is_some() && self.loaded != Some(self.seen.content())
    }

    /// Returns the time at which the file counts as whole, if nothing changes before.
    pub(super) fn settles_at(&self, wall: SystemTime) -> Instant {
        let old = self.seen.stamp().is_some_and(|stamp| stamp.is_written_before(wall, OLD));
        let quiet = match (self.held, self.whole || old) {
            (true, _) => HELD,
            (false, true) => CONFIRM,
            (false, false) => QUIET,
        };
        self.since + quiet
    }

    /// Returns the time at which a report is due, if nothing changes before.
    pub(super) fn notice_at(&self) -> Option<Instant> {
        match self.sight {
            Sight::Lost(since) => Some(since + OUT_OF_SIGHT),
            Sight::Never | Sight::Clear | Sight::Said => None,
        }
    }

    /// Notes that the content of the last look is loaded.
    pub(super) fn loaded(&mut self) {
        self.loaded = Some(self.seen.content());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::UNIX_EPOCH;

    use tempfile::TempDir;

    use super::*;

    /// Makes a file that was loaded long after it was written, and the time of the first look.
    fn loaded() -> (TempDir, TrackedFile, Instant) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("a");
        fs::write(&path, "one").unwrap();
        let now = Instant::now();
        let file = TrackedFile::new(path, Some(SystemTime::now() + YOUNG * 2), None, now);
        assert!(!file.is_changed());
        (folder, file, now)
    }

    /// Returns the time from the last change until the file counts as whole.
    fn quiet(file: &TrackedFile) -> Duration {
        file.settles_at(SystemTime::now()) - file.since
    }

    #[test]
    fn a_file_that_was_written_while_it_was_loaded_is_loaded_again() {
        let (_folder, file, now) = loaded();
        let again = |text| TrackedFile::new(file.path().to_owned(), Some(SystemTime::now()), text, now);
        assert!(again(None).is_changed());
        assert!(again(Some("other")).is_changed());
        assert!(!again(Some("one")).is_changed(), "what was loaded is known");
    }

    #[test]
    fn an_edit_in_place_settles_after_a_quiet_second_from_its_last_write() {
        let (_folder, mut file, now) = loaded();
        for (after, text) in [(1, "half"), (2, "half and half")] {
            fs::write(file.path(), text).unwrap();
            let now = now + QUIET / 2 * after;
            file.look(now);
            assert!(file.is_changed());
            assert_eq!((file.since, quiet(&file)), (now, QUIET));
        }
        let settled = file.settles_at(SystemTime::now());
        file.look(settled);
        assert_eq!(file.settles_at(SystemTime::now()), settled);
    }

    #[test]
    fn half_a_file_in_the_place_of_one_that_was_moved_away_is_not_whole() {
        let (folder, mut file, now) = loaded();
        let entry = file.path().to_owned();
        fs::rename(&entry, folder.path().join("backup")).unwrap();
        fs::write(&entry, "half").unwrap();
        file.heard(&entry, Kind::Renamed);
        // This look happens between the rename and the writer's event.
        file.look(now);
        file.heard(&entry, Kind::Made);
        file.heard(&entry, Kind::Written);
        file.heard(&entry, Kind::Closed);
        file.look(now);
        assert_eq!(quiet(&file), QUIET);
    }

    #[test]
    fn an_edit_that_leaves_the_stamp_as_it_was_is_seen() {
        let (_folder, mut file, now) = loaded();
        let seen = fs::metadata(file.path()).unwrap();
        file.look(now + YOUNG * 2);
        assert!(!file.is_changed());
        // A program that writes through a memory map does not change the file's times.
        fs::write(file.path(), "two").unwrap();
        let Sighting::File { stamp, .. } = Sighting::new(file.path(), None, false) else {
            panic!("unreadable")
        };
        let Sighting::File { digest, .. } = file.seen else { panic!("unreadable") };
        file.seen = Sighting::File { stamp, digest };
        assert_eq!(seen.len(), 3);
        file.look(now + YOUNG * 3);
        assert!(file.is_changed());
    }

    #[test]
    fn a_file_that_a_writer_has_open_waits_longer() {
        let (_folder, mut file, now) = loaded();
        let entry = file.path().to_owned();
        fs::write(&entry, "half").unwrap();
        file.heard(&entry, Kind::Written);
        file.look(now);
        assert_eq!(quiet(&file), HELD);
        file.heard(&entry, Kind::Closed);
        assert_eq!(quiet(&file), QUIET);
    }

    #[test]
    fn a_rename_into_place_needs_one_confirming_look() {
        let (folder, mut file, now) = loaded();
        let entry = file.path().to_owned();
        fs::write(folder.path().join("b"), "two").unwrap();
        fs::rename(folder.path().join("b"), &entry).unwrap();
        file.heard(&entry, Kind::Renamed);
        file.look(now);
        assert_eq!(quiet(&file), CONFIRM);
        // The look may happen before the event arrives.
        let (_folder, mut late, now) = loaded();
        fs::write(late.path(), "two").unwrap();
        late.look(now);
        let entry = late.path().to_owned();
        late.heard(&entry, Kind::Renamed);
        late.look(now);
        assert_eq!(quiet(&late), CONFIRM);
    }

    #[test]
    fn a_write_after_a_rename_is_a_write_in_place() {
        let (_folder, mut file, now) = loaded();
        let entry = file.path().to_owned();
        file.heard(&entry, Kind::Renamed);
        file.heard(&entry, Kind::Written);
        file.heard(&entry, Kind::Closed);
        fs::write(&entry, "half").unwrap();
        file.look(now);
        assert_eq!(quiet(&file), QUIET);
        file.heard(&entry, Kind::Renamed);
        file.look(now);
        fs::write(&entry, "half and half").unwrap();
        file.look(now);
        assert_eq!(quiet(&file), QUIET, "what came whole was written since");
    }

    #[test]
    fn a_file_that_was_written_long_ago_needs_no_quiet() {
        let (folder, mut file, now) = loaded();
        let other = folder.path().join("b");
        fs::write(&other, "older").unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(UNIX_EPOCH).unwrap();
        fs::rename(&other, file.path()).unwrap();
        file.look(now);
        assert!(file.is_changed(), "however old it is");
        assert_eq!(quiet(&file), CONFIRM);
    }

    #[test]
    fn an_edit_that_is_undone_is_none() {
        let (_folder, mut file, now) = loaded();
        fs::write(file.path(), "two").unwrap();
        file.look(now);
        assert!(file.is_changed());
        fs::write(file.path(), "one").unwrap();
        file.look(now);
        assert!(!file.is_changed());
    }

    #[test]
    fn a_change_of_who_may_read_it_is_a_change() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, mut file, now) = loaded();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o777)).unwrap();
        file.look(now);
        assert!(file.is_changed());
    }

    #[test]
    fn a_file_out_of_sight_is_said_once_and_so_is_its_return() {
        let (_folder, mut file, now) = loaded();
        fs::remove_file(file.path()).unwrap();
        assert_eq!(file.look(now), None);
        assert_eq!(file.notice_at(), Some(now + OUT_OF_SIGHT));
        let Some(Notice::Lost(why)) = file.look(now + OUT_OF_SIGHT) else { panic!("not said") };
        assert!(why.contains("No such file"), "{why}");
        assert_eq!(file.look(now + OUT_OF_SIGHT * 2), None);
        assert!(!file.is_changed(), "nothing is there to be loaded");
        fs::write(file.path(), "one").unwrap();
        assert_eq!(file.look(now + OUT_OF_SIGHT * 3), Some(Notice::Found));
        assert!(!file.is_changed(), "what was loaded is back");
    }

    #[test]
    fn a_gap_between_two_files_of_an_editor_is_not_said() {
        let (_folder, mut file, now) = loaded();
        fs::remove_file(file.path()).unwrap();
        assert_eq!(file.look(now), None);
        fs::write(file.path(), "two").unwrap();
        assert_eq!(file.look(now + OUT_OF_SIGHT), None);
        assert!(file.is_changed());
    }
}
