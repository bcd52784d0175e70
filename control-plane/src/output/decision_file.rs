//! The file of `--decisions`: its owner alone may read it, and it is bounded.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::stream::Destination;

/// A file that would grow beyond this size gets the name `FILE.1` first, in place of an older one: the two have 128 MiB at
/// most.
const MOST_BYTES: u64 = 64 << 20;
const MODE: u32 = 0o600;

/// An open file that lines are appended to.
#[derive(Debug)]
pub(crate) struct DecisionFile {
    path: PathBuf,
    file: File,
    /// The size of a regular file. Pipes and devices are never replaced.
    size: Option<u64>,
    most: u64,
}

impl DecisionFile {
    /// Opens the file, and makes it with mode 0600 if it does not exist.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_size(path, MOST_BYTES)
    }

    fn with_size(path: &Path, most: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // Without a reader, Linux opens a FIFO at once for both.
        options.read(path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()));
        let file = options.append(true).create(true).mode(MODE).open(path)?;
        let metadata = file.metadata()?;
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { path: path.to_owned(), file, size, most })
    }

    fn replace(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        *self = Self::with_size(&self.path, self.most)?;
        Ok(())
    }
}

impl Destination for DecisionFile {
    fn prepare(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        if self.size.is_some_and(|size| size > 0 && size + bytes > self.most) {
            self.replace()?;
        }
        self.size = self.size.map(|size| size + bytes);
        Ok(())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_grows_too_long_is_replaced_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let mut file = DecisionFile::with_size(&path, 10).unwrap();
        for line in ["1234\n", "5678\n", "9abc\n", "a long line of its own\n", "last\n"] {
            file.prepare(line.len()).unwrap();
            io::Write::write_all(&mut file.file, line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("decisions.jsonl"), read("decisions.jsonl.1")),
            ("last\n".to_owned(), "a long line of its own\n".to_owned())
        );
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        // A later run appends.
        let mut file = DecisionFile::with_size(&path, 10).unwrap();
        file.prepare(5).unwrap();
        io::Write::write_all(&mut file.file, b"more\n").unwrap();
        assert_eq!(read("decisions.jsonl"), "last\nmore\n");
    }

    #[test]
    fn a_device_is_never_replaced() {
        let mut null = DecisionFile::with_size(Path::new("/dev/null"), 1).unwrap();
        null.prepare(100).unwrap();
        assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
        assert!(!Path::new("/dev/null.1").exists());
    }
}
