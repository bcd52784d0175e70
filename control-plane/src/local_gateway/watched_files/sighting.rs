//! One look at a file: whether it can be read, and which content it has.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};
use zeroize::Zeroizing;

use crate::input::regular_file;

/// The maximum number of bytes that a look reads from a file: more than any file that Weir loads may have.
const MOST_BYTES: u64 = 256 << 20;

/// The size up to which every look reads a file's content. A program that writes through a memory map does not change
/// the stamp.
const ALWAYS_READ: u64 = 1 << 20;

/// The metadata that identifies a version of a file. Only the kernel sets the change time, so it shows an edit even if
/// an editor restores the modification time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    owner: u32,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
            owner: metadata.uid(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns whether the last write was at least `age` before `now`. A modification time in the future counts as no
    /// information.
    pub(super) fn is_written_before(&self, now: SystemTime, age: Duration) -> bool {
        is_before(self.modified, now, age)
    }

    /// Returns whether content and permissions are at least `age` older than `now`.
    pub(super) fn is_older_than(&self, now: SystemTime, age: Duration) -> bool {
        is_before(self.modified, now, age) && is_before(self.changed, now, age)
    }
}

fn is_before((seconds, nanoseconds): (i64, i64), now: SystemTime, age: Duration) -> bool {
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else {
        return false;
    };
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds));
    time.and_then(|time| now.duration_since(time).ok()).is_some_and(|since| since >= age)
}

/// The result of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sighting {
    /// A regular file that can be read.
    File { stamp: Stamp, digest: u64 },
    /// There is no readable file, with the reason.
    Unreadable(String),
}

/// The part of a look on which a reload depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The content's digest, and the permissions.
    File { mode: u32, owner: u32, digest: u64 },
    /// There is no readable file.
    Absent,
}

impl Sighting {
    /// Looks at `path`, through all links. It reuses the digest of `last` only for a large file with an equal stamp, if
    /// the stamp is `trusted`: a write within the granularity of a file system's clock, or through a memory map, does
    /// not change the stamp.
    pub(super) fn new(path: &Path, last: Option<&Self>, trusted: bool) -> Self {
        Self::read(path, last, trusted).unwrap_or_else(|error| Self::Unreadable(error.to_string()))
    }

    fn read(path: &Path, last: Option<&Self>, trusted: bool) -> io::Result<Self> {
        // A network file system asks its server when a file is opened. It may answer a request for metadata alone from
        // its cache.
        let file = regular_file::open(path)?;
        let stamp = Stamp::new(&file.metadata()?);
        match last {
            Some(Self::File { stamp: last, digest })
                if trusted && *last == stamp && stamp.size > ALWAYS_READ =>
            {
                Ok(Self::File { stamp, digest: *digest })
            }
            Some(_) | None => Ok(Self::File { stamp, digest: digest(file)? }),
        }
    }

    pub(super) fn content(&self) -> Content {
        match self {
            Self::File { stamp, digest } => {
                Content::File { mode: stamp.mode, owner: stamp.owner, digest: *digest }
            }
            Self::Unreadable(_) => Content::Absent,
        }
    }

    /// Returns whether the file has this text.
    pub(super) fn holds(&self, text: &str) -> bool {
        matches!(self, Self::File { digest, .. } if *digest == xxh3_64(text.as_bytes()))
    }

    pub(super) fn stamp(&self) -> Option<&Stamp> {
        match self {
            Self::File { stamp, .. } => Some(stamp),
            Self::Unreadable(_) => None,
        }
    }
}

fn digest(file: File) -> io::Result<u64> {
    let (mut file, mut hash, mut part) =
        (file.take(MOST_BYTES), Xxh3Default::new(), Zeroizing::new(vec![0; 64 << 10]));
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hash.digest()),
            Ok(count) => hash.update(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_restores_the_modification_time_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let first = Sighting::new(&path, None, false);
        let modified = path.metadata().unwrap().modified().unwrap();
        std::fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_ne!(Sighting::new(&path, Some(&first), false).content(), first.content());
    }

    #[test]
    fn only_a_large_file_is_left_unread_once_its_stamp_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for size in [3, ALWAYS_READ, ALWAYS_READ + 1] {
            std::fs::write(&path, vec![b'a'; usize::try_from(size).unwrap()]).unwrap();
            let Sighting::File { stamp, digest } = Sighting::new(&path, None, false) else {
                panic!("unreadable")
            };
            let wrong = Sighting::File { stamp, digest: digest.wrapping_add(1) };
            assert_eq!(Sighting::new(&path, Some(&wrong), true) == wrong, size > ALWAYS_READ, "{size}");
            assert_ne!(Sighting::new(&path, Some(&wrong), false), wrong);
        }
    }

    #[test]
    fn a_file_holds_its_text_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        // Longer than one read.
        let text = "text".repeat(100_000);
        std::fs::write(&path, &text).unwrap();
        let sighting = Sighting::new(&path, None, false);
        assert!(sighting.holds(&text));
        assert!(!sighting.holds(&text[1..]));
    }

    #[test]
    fn a_modification_time_in_the_future_is_not_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let now = SystemTime::now();
        let (minute, at) = (Duration::from_mins(1), |modified| {
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            Sighting::new(&path, None, false).stamp().unwrap().clone()
        });
        assert!(!at(now + minute).is_written_before(now, Duration::ZERO));
        assert!(!at(now).is_written_before(now, minute));
        assert!(at(now - minute).is_written_before(now, minute));
        assert!(!at(now - minute).is_older_than(now, minute), "the change time is from now");
    }
}
