//! Finds the file of a program, so that an error can say more than exit code 127.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns the file that a shell would run: `name` itself if it contains a slash, else the first executable of that
/// name in `path` (the value of `PATH`).
#[must_use]
pub fn find(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|file| can_run(file));
    }
    std::env::split_paths(path?).map(|folder| folder.join(name)).find(|file| can_run(file))
}

fn can_run(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_in_the_path_that_can_be_run_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        for (folder, mode) in [(&one, 0o644), (&two, 0o755)] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("tool"), "").unwrap();
            std::fs::set_permissions(folder.join("tool"), PermissionsExt::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([&one, &two]).unwrap();
        assert_eq!(find("tool".as_ref(), Some(&path)), Some(two.join("tool")));
        assert_eq!(find("other".as_ref(), Some(&path)), None);
        assert_eq!(find("tool".as_ref(), None), None);
        assert_eq!(find(two.join("tool").as_os_str(), None), Some(two.join("tool")));
        assert_eq!(find(one.join("tool").as_os_str(), None), None);
    }
}
