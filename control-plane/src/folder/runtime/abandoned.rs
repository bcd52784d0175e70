//! Folders of runs that were killed, which could not remove them.

use std::fs;
use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat};

use super::PREFIX;
use crate::folder::trusted::TrustedFolder;

/// Folders that a start removes at most: it should not take long.
const MOST: usize = 64;

/// Removes from `parent` the folders of our own runs that have ended. What is not certainly one of them stays.
pub(super) fn remove(parent: &TrustedFolder) {
    let Ok(entries) = fs::read_dir(parent.path()) else { return };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| is_name(name)).take(MOST) {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = parent.path().join(name);
        let Ok(folder) = openat(rustix::fs::CWD, &path, flags, Mode::empty()) else { continue };
        // The lock is held until the folder is gone: a run that has just made it sees that.
        let is_abandoned =
            is_private(&folder) && flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_abandoned && fs::remove_dir_all(&path).is_ok() {
            tracing::info!(folder = %path.display(), "removed the folder of a run that was killed");
        }
    }
}

fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_private(folder: impl AsFd) -> bool {
    fstat(folder).is_ok_and(|stat| {
        stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o7777 == 0o700
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{DirBuilder, File};
    use std::os::unix::fs::DirBuilderExt;

    use super::*;

    #[test]
    fn only_private_folders_without_a_lock_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str, mode| {
            DirBuilder::new().mode(mode).create(place.path().join(name)).unwrap();
            fs::write(place.path().join(name).join("file"), "").unwrap();
        };
        let kept =
            ["weir-0000000000000001", "weir-0000000000000002", "weir-000000000000000X", "weir-1", "other"];
        make("weir-0000000000000000", 0o700);
        make(kept[0], 0o700);
        make(kept[1], 0o755);
        kept[2..].iter().for_each(|name| make(name, 0o700));
        fs::write(place.path().join("weir-0000000000000003"), "a file").unwrap();
        std::os::unix::fs::symlink(place.path().join("other"), place.path().join("weir-0000000000000004"))
            .unwrap();
        let locked = File::open(place.path().join(kept[0])).unwrap();
        locked.lock_shared().unwrap();
        remove(&TrustedFolder::open(place.path()).unwrap());
        let mut left: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected: Vec<_> =
            kept.into_iter().chain(["weir-0000000000000003", "weir-0000000000000004"]).collect();
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
