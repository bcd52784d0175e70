//! The folder that keeps the interception CA between runs. A user who can write to it can read the traffic of every
//! client that trusts the CA, so Weir uses it only if no other user can reach it.

mod error;
mod lock;

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use zeroize::Zeroizing;

use crate::folder::trusted::TrustedFolder;
pub use error::StateFolderError;
pub use lock::Lock;

const FOLDER_MODE: u32 = 0o700;
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// A folder that only its owner can read, write or replace. Writes are atomic, and files are opened through the
/// folder's handle.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
    handle: Arc<OwnedFd>,
}

impl StateFolder {
    /// Returns the state folder's path: `chosen` (`--state DIR`), else `$XDG_STATE_HOME/weir`, else
    /// `~/.local/state/weir`. A relative `XDG_STATE_HOME` is ignored, as the XDG base directory specification requires.
    ///
    /// # Errors
    /// [`StateFolderError::NoPlace`] when neither an option nor the environment names a folder.
    pub fn locate(
        chosen: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, StateFolderError> {
        if let Some(chosen) = chosen {
            return Ok(chosen.to_owned());
        }
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|base| base.join("weir"))
            .ok_or(StateFolderError::NoPlace)
    }

    /// Opens the folder. Makes it and its parents with mode 0700 if they are missing.
    ///
    /// # Errors
    /// When it cannot be made, belongs to another user, is accessible to others, or could be replaced by others.
    pub fn open(path: &Path) -> Result<Self, StateFolderError> {
        let folder = TrustedFolder::create(path, Mode::RWXU)
            .map_err(|cause| StateFolderError::untrusted(path, cause))?;
        let handle = folder.handle().map_err(|cause| StateFolderError::io("open", path, cause))?;
        let handle = File::from(handle);
        let metadata = handle.metadata().map_err(|cause| StateFolderError::io("look at", path, cause))?;
        assert_private(folder.path(), &metadata, FOLDER_MODE)?;
        Ok(Self { path: folder.path().to_owned(), handle: Arc::new(handle.into()) })
    }

    /// Returns the folder's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the absolute path of a file in the folder. The file need not exist.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Waits until no other process holds the folder's lock, and takes it. A warning after a second names the other
    /// process. The lock ends with the process, also when it is killed.
    ///
    /// # Errors
    /// When the lock file cannot be made or locked.
    pub fn lock(&self) -> Result<Lock, StateFolderError> {
        let path = self.file("lock");
        let file = self
            .open_file("lock", OFlags::WRONLY | OFlags::CREATE)
            .map_err(|cause| StateFolderError::io("open", &path, cause))?;
        Lock::new(file, &path).map_err(|cause| StateFolderError::io("lock", &path, cause))
    }

    /// Reads a secret file, or returns `None` if it does not exist. The content is wiped from memory when it is
    /// dropped.
    ///
    /// # Errors
    /// When others can reach the file, it belongs to another user, or it cannot be read as UTF-8.
    pub fn read_secret(&self, name: &str) -> Result<Option<Zeroizing<String>>, StateFolderError> {
        let path = self.file(name);
        let Some(mut file) = self.open_existing(name)? else { return Ok(None) };
        // The check uses the open file's metadata. A check of the path could see another file than the one that is
        // read.
        let metadata = file.metadata().map_err(|cause| StateFolderError::io("look at", &path, cause))?;
        assert_secret(&path, &metadata)?;
        let mut content = Zeroizing::new(String::new());
        file.read_to_string(&mut content).map_err(|cause| StateFolderError::io("read", &path, cause))?;
        Ok(Some(content))
    }

    /// Reads a file that is not secret, or returns `None` if it does not exist.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    pub fn read_public(&self, name: &str) -> Result<Option<String>, StateFolderError> {
        let path = self.file(name);
        let Some(mut file) = self.open_existing(name)? else { return Ok(None) };
        let mut content = String::new();
        file.read_to_string(&mut content).map_err(|cause| StateFolderError::io("read", &path, cause))?;
        Ok(Some(content))
    }

    /// Returns whether the file has exactly this content.
    #[must_use]
    pub fn holds(&self, name: &str, content: &[u8]) -> bool {
        let mut held = Vec::new();
        let file = self.open_file(name, OFlags::RDONLY);
        file.and_then(|mut file| file.read_to_end(&mut held)).is_ok() && held == content
    }

    /// Writes a file of mode 0600. A reader sees the whole old or the whole new content, also after a crash.
    ///
    /// # Errors
    /// When the operating system refuses; then the old content stays.
    pub fn write_secret(&self, name: &str, content: &[u8]) -> Result<PathBuf, StateFolderError> {
        self.write(name, content, SECRET_MODE)
    }

    /// Writes a file of mode 0644 as [`Self::write_secret`] does. Certificates have this mode, because programs of
    /// other users may read them.
    ///
    /// # Errors
    /// When the operating system refuses; then the old content stays.
    pub fn write_public(&self, name: &str, content: &[u8]) -> Result<PathBuf, StateFolderError> {
        self.write(name, content, PUBLIC_MODE)
    }

    /// Removes a file, if it exists.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn remove(&self, name: &str) -> Result<(), StateFolderError> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(cause) => Err(StateFolderError::io("remove", &self.file(name), cause.into())),
        }
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<PathBuf, StateFolderError> {
        let new = NewFile { folder: self, name: format!(".new-{:016x}", RandomState::new().hash_one(name)) };
        let write = || {
            let mut file = self.open_file(&new.name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            renameat(&self.handle, &new.name, &self.handle, name)?;
            Ok(rustix::fs::fsync(&self.handle)?)
        };
        write().map_err(|cause| StateFolderError::io("write", &self.file(name), cause))?;
        Ok(self.file(name))
    }

    fn open_existing(&self, name: &str) -> Result<Option<File>, StateFolderError> {
        match self.open_file(name, OFlags::RDONLY) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StateFolderError::io("open", &self.file(name), cause)),
        }
    }

    /// Opens a file of the folder; a new file gets mode 0600. A link is an error, because anybody may own its target.
    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.handle, name, flags, Mode::from_raw_mode(SECRET_MODE))?.into())
    }
}

/// A file that is being written. It is removed unless it is renamed into place.
struct NewFile<'a> {
    folder: &'a StateFolder,
    name: String,
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(&self.folder.handle, &self.name, AtFlags::empty());
    }
}

/// Checks that a file belongs to this user and has mode 0600 or less.
pub(crate) fn assert_secret(path: &Path, metadata: &Metadata) -> Result<(), StateFolderError> {
    assert_private(path, metadata, SECRET_MODE)
}

fn assert_private(path: &Path, metadata: &Metadata, wanted: u32) -> Result<(), StateFolderError> {
    let user = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    if owner != user {
        return Err(StateFolderError::ForeignOwner { path: path.to_owned(), owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateFolderError::OpenToOthers { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes a state folder that is removed with the first value.
    pub(crate) fn temporary() -> (tempfile::TempDir, StateFolder) {
        let parent = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&parent.path().join("state")).unwrap();
        (parent, folder)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn the_chosen_folder_wins_then_xdg_then_home() {
        let both = |name: &str| match name {
            "XDG_STATE_HOME" => Some(OsString::from("/xdg")),
            "HOME" => Some(OsString::from("/home/u")),
            _ => None,
        };
        let relative = |name: &str| match name {
            "XDG_STATE_HOME" => Some(OsString::from("not/absolute")),
            "HOME" => Some(OsString::from("/home/u")),
            _ => None,
        };
        let locate = |chosen: Option<&str>, variable: &dyn Fn(&str) -> Option<OsString>| {
            StateFolder::locate(chosen.map(Path::new), variable).unwrap().display().to_string()
        };
        assert_eq!(locate(Some("here"), &both), "here");
        assert_eq!(locate(None, &both), "/xdg/weir");
        assert_eq!(locate(None, &relative), "/home/u/.local/state/weir");
        let error = StateFolder::locate(None, |_| None).unwrap_err();
        assert!(error.to_string().contains("help: name a folder with `--state DIR`"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_made_private() {
        let parent = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&parent.path().join("a/b")).unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        assert!(folder.path().is_absolute());
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused_with_the_chmod_to_run() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let error = StateFolder::open(folder.path()).unwrap_err().to_string();
        let path = folder.path().display();
        assert!(error.contains(&format!("`{path}` is open to other users (mode 0755)")), "{error}");
        assert!(error.contains(&format!("help: run `chmod 700 {path}`")), "{error}");
    }

    #[test]
    fn a_folder_that_others_can_replace_is_refused_with_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let open = parent.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let error = StateFolder::open(&open.join("state")).unwrap_err().to_string();
        let path = open.display();
        assert!(
            error.contains(&format!("open/state` is not safe: `{path}` may be written to by other")),
            "{error}"
        );
        assert!(error.contains(&format!("help: run `chmod go-w {path}`, or name another")), "{error}");
        assert!(!open.join("state").exists());
    }

    #[test]
    fn a_folder_that_is_swapped_after_it_was_opened_changes_nothing() {
        let (parent, folder) = temporary();
        folder.write_secret("key", b"ours").unwrap();
        std::fs::rename(folder.path(), parent.path().join("moved")).unwrap();
        std::fs::create_dir(folder.path()).unwrap();
        std::fs::write(folder.file("key"), "theirs").unwrap();
        assert_eq!(folder.read_secret("key").unwrap().unwrap().as_str(), "ours");
        folder.write_public("new", b"ours").unwrap();
        assert!(!folder.file("new").exists() && folder.holds("new", b"ours"));
    }

    #[test]
    fn a_link_in_the_folder_is_not_followed() {
        let (parent, folder) = temporary();
        std::fs::write(parent.path().join("elsewhere"), "theirs").unwrap();
        for name in ["lock", "key"] {
            std::os::unix::fs::symlink("../elsewhere", folder.file(name)).unwrap();
        }
        assert!(folder.lock().is_err());
        assert!(folder.read_secret("key").is_err());
        assert!(!folder.holds("key", b"theirs"));
    }

    #[test]
    fn a_secret_is_written_with_mode_0600_and_read_back() {
        let (_parent, folder) = temporary();
        assert!(folder.read_secret("key").unwrap().is_none());
        let path = folder.write_secret("key", b"one").unwrap();
        folder.write_secret("key", b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(folder.read_secret("key").unwrap().unwrap().as_str(), "two");
        let left: Vec<_> =
            folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["key"]);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_chmod_to_run() {
        let (_parent, folder) = temporary();
        let path = folder.write_secret("key", b"secret").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = folder.read_secret("key").unwrap_err().to_string();
        assert!(error.contains("(mode 0640)"), "{error}");
        assert!(error.contains(&format!("help: run `chmod 600 {}`", path.display())), "{error}");
    }

    #[test]
    fn the_lock_keeps_a_second_holder_out_until_it_is_dropped() {
        let (_parent, folder) = temporary();
        let lock = folder.lock().unwrap();
        let second = File::options().write(true).open(folder.file("lock")).unwrap();
        assert!(second.try_lock().is_err());
        drop(lock);
        second.try_lock().unwrap();
    }
}
