//! The folder of one run: sockets and files that only this run and its Envoy use. Removed at the end.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// A private folder (mode 0700) in `$XDG_RUNTIME_DIR` or the system's temporary folder: a short path, because that
/// of a Unix socket holds some hundred bytes only.
#[derive(Debug)]
pub struct RuntimeFolder {
    path: PathBuf,
}

impl RuntimeFolder {
    /// Makes the folder.
    ///
    /// # Errors
    /// When it cannot be made, also because there is already one of its name: then it is not ours.
    pub fn new() -> io::Result<Self> {
        let parent = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        let started = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        let started = started.unwrap_or_default().as_nanos();
        let path = parent.join(format!("weir-{}-{started:x}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for RuntimeFolder {
    fn drop(&mut self) {
        // Nothing of value is in it; what cannot be removed is left to the system's cleaning.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
