//! The folder of one run: sockets and files that only this run and its Envoy use. It is removed at the end.
//!
//! Envoy gets its files by path: a user who could replace the folder could make Envoy run another bootstrap. So Weir
//! makes the folder only below a [`TrustedFolder`], and its files through the folder's handle.
//!
//! A run holds a lock of its folder, which ends with the process. A run that was killed leaves its folder behind without a
//! lock, and the next run in the same place removes it. A new folder might be taken for such a one before it is locked, so
//! a run looks once more afterwards whether its folder is still there.

mod abandoned;

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::io::Errno;

use crate::folder::trusted::{TrustedFolder, UntrustedFolder};

/// The longest path of a Unix socket (unix(7)), without the terminating zero.
const LONGEST_SOCKET: usize = 107;
/// The longest name of a socket in the folder.
const LONGEST_NAME: usize = "admin.sock".len();
/// The places to try if the environment names no usable folder. Every Linux has the first; the others serve a system on
/// which the first is unusable.
const PLACES: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

/// The beginning of the name of a run's folder. Sixteen hexadecimal digits follow.
const PREFIX: &str = "weir-";
/// The number of attempts to make a folder. Another run may remove a folder before this run has locked it.
const MOST_TRIES: u32 = 8;

/// A private folder (mode 0700) below `$XDG_RUNTIME_DIR`, `$TMPDIR` or `/tmp`: the first of these that no other user
/// can change, and whose path leaves room for the name of a Unix socket.
#[derive(Debug)]
pub(crate) struct RuntimeFolder {
    path: PathBuf,
    handle: OwnedFd,
}

/// There is no place for the folder.
#[derive(Debug, thiserror::Error)]
#[error("no place for the folder of this run: {}\nhelp: let `XDG_RUNTIME_DIR` name a folder of yours with a short path", .0.join("; "))]
pub(crate) struct NoRuntimeFolder(Vec<String>);

/// The reason why a place cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Untrusted(#[from] UntrustedFolder),
    #[error("`{}` is too long a path for a Unix socket", .0.display())]
    TooLong(PathBuf),
    #[error("`{}` is not UTF-8, as Envoy's configuration must be", .0.display())]
    NoText(PathBuf),
    #[error("no folder can be made in `{}`: {}", .0.display(), .1)]
    NotMade(PathBuf, io::Error),
    #[error("a folder made in `{}` is not private", .0.display())]
    NotPrivate(PathBuf),
}

impl RuntimeFolder {
    /// Makes the folder. If the environment names an unusable place, it logs a warning and uses the next one.
    ///
    /// # Errors
    /// When no place is usable.
    pub(crate) fn new(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NoRuntimeFolder> {
        let named =
            ["XDG_RUNTIME_DIR", "TMPDIR"].into_iter().filter_map(|name| Some((Some(name), variable(name)?)));
        let named = named.filter(|(_, place)| !place.is_empty());
        let places = PLACES.map(|place| (None, OsString::from(place)));
        let (mut faults, mut missing) = (Vec::new(), Vec::new());
        for (name, place) in named.chain(places) {
            match Self::in_place(Path::new(&place)) {
                Ok(folder) => {
                    for fault in &faults {
                        tracing::warn!("the folder of this run is `{}`: {fault}", folder.path.display());
                    }
                    return Ok(folder);
                }
                // After the end of a session, its variable is still in the environment of the session's programs.
                Err(Unusable::Untrusted(fault)) if fault.is_missing() => missing.push(fault.to_string()),
                Err(fault) => faults.push(match name {
                    Some(name) => format!("{fault} (${name})"),
                    None => fault.to_string(),
                }),
            }
        }
        faults.extend(missing);
        Err(NoRuntimeFolder(faults))
    }

    fn in_place(place: &Path) -> Result<Self, Unusable> {
        let parent = TrustedFolder::open(place)?;
        let made = Self::make(&parent)?;
        abandoned::remove(&parent);
        Ok(made)
    }

    fn make(parent: &TrustedFolder) -> Result<Self, Unusable> {
        for _ in 0..MOST_TRIES {
            if let Some(folder) = Self::make_once(parent)? {
                return Ok(folder);
            }
        }
        Err(Unusable::NotMade(parent.path().to_owned(), io::ErrorKind::ResourceBusy.into()))
    }

    /// Makes the folder. `None` if another run has taken it for one that was left behind.
    fn make_once(parent: &TrustedFolder) -> Result<Option<Self>, Unusable> {
        let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(std::process::id()));
        let path = parent.path().join(&name);
        if path.to_str().is_none() {
            return Err(Unusable::NoText(parent.path().to_owned()));
        }
        if path.as_os_str().len() + "/".len() + LONGEST_NAME > LONGEST_SOCKET {
            return Err(Unusable::TooLong(parent.path().to_owned()));
        }
        let not_made = |cause: io::Error| Unusable::NotMade(parent.path().to_owned(), cause);
        let handle = parent.make(&name, Mode::RWXU).map_err(not_made)?;
        let folder = Self { path, handle };
        // Programs that clean `/tmp` spare a locked folder, too (tmpfiles.d(5)). On a file system without locks, no run
        // takes the folder for an abandoned one.
        if flock(&folder.handle, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) {
            return Ok(None);
        }
        // Some file systems keep neither owner nor mode.
        let stat = fstat(&folder.handle).map_err(|cause| not_made(cause.into()))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(Unusable::NotPrivate(parent.path().to_owned()));
        }
        Ok((stat.st_nlink > 0).then_some(folder))
    }

    /// The path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in the folder. No other user can change the file at that path.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a file of mode 0600 in the folder, and replaces an existing one.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(cause) => return Err(cause.into()),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }
}

impl Drop for RuntimeFolder {
    fn drop(&mut self) {
        // The folder has nothing of value; the system's own cleaning removes the rest.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn folder(runtime: Option<&Path>, temporary: Option<&Path>) -> RuntimeFolder {
        let variable = |name: &str| match name {
            "XDG_RUNTIME_DIR" => runtime.map(|path| path.as_os_str().to_owned()),
            "TMPDIR" => temporary.map(|path| path.as_os_str().to_owned()),
            _ => None,
        };
        RuntimeFolder::new(variable).unwrap()
    }

    fn parent(folder: &RuntimeFolder) -> &Path {
        folder.path.parent().unwrap()
    }

    #[test]
    fn the_folder_is_private_and_goes_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(Some(place.path()), None);
        assert_eq!(parent(&folder), place.path().canonicalize().unwrap());
        assert_eq!(folder.path.metadata().unwrap().mode() & 0o7777, 0o700);
        folder.create("file").unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.file("link")).unwrap();
        folder.create("link").unwrap();
        assert!(folder.file("link").symlink_metadata().unwrap().is_file());
        assert_eq!(folder.file("file").metadata().unwrap().mode() & 0o7777, 0o600);
        drop(folder);
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_place_that_cannot_be_used_is_passed_over() {
        let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let other_path = other.path().canonicalize().unwrap();
        let used = |runtime: &Path| parent(&folder(Some(runtime), Some(other.path()))).to_owned();
        let long = place.path().join("long-".repeat(20));
        std::fs::create_dir(&long).unwrap();
        assert_eq!(used(&long), other_path);
        let fits =
            place.path().join("x".repeat(LONGEST_SOCKET - place.path().as_os_str().len() - 2 - 22 - 10));
        std::fs::create_dir(&fits).unwrap();
        let made = folder(Some(&fits), Some(other.path()));
        assert_eq!(made.file("admin.sock").as_os_str().len(), LONGEST_SOCKET);
        std::os::unix::net::UnixListener::bind(made.file("admin.sock")).unwrap();
        let no_text = place.path().join(OsString::from_vec(vec![0xff]));
        std::fs::create_dir(&no_text).unwrap();
        assert_eq!(used(&no_text), other_path);
        assert_eq!(used(Path::new("/nowhere")), other_path);
        assert_eq!(used(Path::new("")), other_path);
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(used(place.path()), other_path);
        assert_eq!(used(&fits), other_path);
    }

    #[test]
    fn without_a_variable_it_is_in_the_systems_temporary_folder() {
        assert_eq!(parent(&folder(None, None)), Path::new("/tmp").canonicalize().unwrap());
    }
}
