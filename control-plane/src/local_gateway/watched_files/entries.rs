//! The folder entries on the way to a file: each symbolic link in its path, and the file itself.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The maximum number of links in a path, the same as Linux's own limit (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Returns the entries through which `path` resolves now, each in a folder whose own path has no link. For a path
/// without a file, it returns the entries that exist.
pub(super) fn entries(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let mut ahead: Vec<OsString> = parts(&path);
    let (mut here, mut found, mut links) = (PathBuf::from("/"), Vec::new(), 0);
    while let Some(part) = ahead.pop() {
        match Path::new(&part).components().next() {
            Some(Component::RootDir) => here = PathBuf::from("/"),
            Some(Component::ParentDir) => {
                here.pop();
            }
            Some(Component::Normal(name)) => {
                let entry = here.join(name);
                match entry.read_link() {
                    Ok(_) if links == MOST_LINKS => return found,
                    Ok(target) => {
                        links += 1;
                        found.push(entry);
                        ahead.extend(parts(&target));
                    }
                    Err(_) => {
                        if ahead.is_empty() {
                            found.push(entry.clone());
                        }
                        here = entry;
                    }
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    found
}

/// Returns the components of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("v1/deep")).unwrap();
        std::fs::write(root.join("v1/deep/file"), "").unwrap();
        symlink("v1/../v1", root.join("current")).unwrap();
        symlink(root.join("current/deep/file"), root.join("policy")).unwrap();
        let found = entries(&root.join("./policy"));
        assert_eq!(found, [root.join("policy"), root.join("current"), root.join("v1/deep/file")]);
    }

    #[test]
    fn a_loop_and_a_way_to_nowhere_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(entries(&root.join("a")).len(), MOST_LINKS);
        assert_eq!(entries(&root.join("none/file")), [root.join("none/file")]);
    }
}
