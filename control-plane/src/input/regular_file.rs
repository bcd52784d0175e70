//! Opens a file that must be a regular file.
//!
//! A policy names files. Opening a FIFO in place of one would block until a program writes to it, perhaps for ever.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file for reading, without blocking.
///
/// # Errors
/// When it cannot be opened, or is a folder, a FIFO, a device or a socket.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // The check comes before the file is opened, because opening a device may have effects.
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    // The file may have become a FIFO since the check.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for path in [&fifo, folder.path(), Path::new("/dev/zero")] {
            assert_eq!(open(path).unwrap_err().to_string(), "it is not a regular file");
        }
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        open(&folder.path().join("link")).unwrap();
    }
}
