//! Folders that no other user can change, replace or move.
//!
//! A path is only as safe as every folder on it: a user who may write to one of them can replace the folders and files
//! below. So Weir walks a path from `/` on. It opens each component relative to the one before, follows links itself,
//! and checks each opened folder by its handle, so that nothing can change between the check and the use.
//!
//! Weir trusts root, the user who runs it, and the owner of `/`, who could replace everything anyway (in a user
//! namespace, that is root outside of it). It trusts a folder that others may write to only if the folder has the
//! sticky bit, as `/tmp` does: others cannot remove or rename this user's files there.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// The maximum number of links, the same as the kernel's (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A folder and its path. No other user can change either.
#[derive(Debug)]
pub(crate) struct TrustedFolder {
    handle: OwnedFd,
    path: PathBuf,
}

/// The reason why a folder is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedFolder {
    /// Another user owns the folder or link, and could replace its content.
    #[error("`{}` belongs to user {owner}, who could replace its content", path.display())]
    ForeignOwner {
        /// The folder or link.
        path: PathBuf,
        /// The user id of the folder's or link's owner.
        owner: u32,
    },
    /// Other users may write to the folder.
    #[error("`{}` may be written to by other users (mode {mode:04o})", path.display())]
    WritableByOthers {
        /// The folder.
        path: PathBuf,
        /// The folder's permission bits.
        mode: u32,
    },
    /// The operating system refused.
    #[error("`{}`: {cause}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        cause: std::io::Error,
    },
}

impl UntrustedFolder {
    /// Returns whether the folder does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound)
    }
}

impl TrustedFolder {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// When it does not exist, or another user can change it or a part of its path.
    pub(crate) fn open(path: &Path) -> Result<Self, UntrustedFolder> {
        Walk::new(path, None)?.finish()
    }

    /// Opens a folder. Makes it and the missing folders on its path with this mode.
    ///
    /// # Errors
    /// When another user can change the folder or a part of its path, or the operating system refuses.
    pub(crate) fn create(path: &Path, mode: Mode) -> Result<Self, UntrustedFolder> {
        Walk::new(path, Some(mode))?.finish()
    }

    /// Returns its path from `/`, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it. The name must be free.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn make(&self, name: &str, mode: Mode) -> std::io::Result<OwnedFd> {
        mkdirat(&self.handle, name, mode)?;
        Ok(openat(&self.handle, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Opens the folder itself, in order to lock it or to write it through to the disk.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn handle(&self) -> std::io::Result<OwnedFd> {
        Ok(openat(&self.handle, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }
}

/// A walk along a path: the opened folder and the components that are left.
struct Walk {
    left: VecDeque<OsString>,
    at: TrustedFolder,
    trusted: [u32; 3],
    missing: Option<Mode>,
    links: usize,
}

impl Walk {
    fn new(path: &Path, missing: Option<Mode>) -> Result<Self, UntrustedFolder> {
        let path = std::path::absolute(path).map_err(|cause| failed(path, cause))?;
        let at = root()?;
        let owner = fstat(&at.handle).map_err(|cause| failed(Path::new("/"), cause))?.st_uid;
        let trusted = [0, owner, rustix::process::geteuid().as_raw()];
        let walk = Self { left: components(&path).collect(), at, trusted, missing, links: 0 };
        walk.assert_trusted(&walk.at.handle, Path::new("/"))?;
        Ok(walk)
    }

    fn finish(mut self) -> Result<TrustedFolder, UntrustedFolder> {
        while let Some(name) = self.left.pop_front() {
            self.step(&name)?;
        }
        Ok(self.at)
    }

    fn step(&mut self, name: &OsStr) -> Result<(), UntrustedFolder> {
        let mut path = self.at.path.clone();
        if name == ".." {
            path.pop();
        } else {
            path.push(name);
        }
        let handle = self.open(name).map_err(|cause| failed(&path, cause))?;
        let stat = fstat(&handle).map_err(|cause| failed(&path, cause))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return self.follow(&handle, &stat, &path);
        }
        self.assert_trusted(&handle, &path)?;
        self.at = TrustedFolder { handle, path };
        Ok(())
    }

    fn open(&self, name: &OsStr) -> rustix::io::Result<OwnedFd> {
        let open = || {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&self.at.handle, name, flags, Mode::empty())
        };
        match (open(), self.missing) {
            (Err(Errno::NOENT), Some(mode)) => {
                match mkdirat(&self.at.handle, name, mode) {
                    // Another process made it first. The walk checks it like any folder.
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(cause) => Err(cause),
                }
            }
            (opened, _) => opened,
        }
    }

    fn follow(&mut self, link: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), UntrustedFolder> {
        self.assert_owner(stat, path)?;
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(failed(path, Errno::LOOP));
        }
        let target = readlinkat(link, "", Vec::new()).map_err(|cause| failed(path, cause))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.at = root()?;
        }
        for component in components(&target).rev() {
            self.left.push_front(component);
        }
        Ok(())
    }

    fn assert_trusted(&self, handle: &OwnedFd, path: &Path) -> Result<(), UntrustedFolder> {
        let stat = fstat(handle).map_err(|cause| failed(path, cause))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(failed(path, Errno::NOTDIR));
        }
        self.assert_owner(&stat, path)?;
        let mode = stat.st_mode & 0o7777;
        let sticky = mode & 0o1000 != 0;
        let open_to_all = mode & 0o002 != 0;
        let open_to_group = mode & 0o020 != 0 && !is_only_ours(handle, stat.st_gid);
        if !sticky && (open_to_all || open_to_group) {
            return Err(UntrustedFolder::WritableByOthers { path: path.to_owned(), mode });
        }
        Ok(())
    }

    fn assert_owner(&self, stat: &Stat, path: &Path) -> Result<(), UntrustedFolder> {
        if self.trusted.contains(&stat.st_uid) {
            return Ok(());
        }
        Err(UntrustedFolder::ForeignOwner { path: path.to_owned(), owner: stat.st_uid })
    }
}

fn root() -> Result<TrustedFolder, UntrustedFolder> {
    let path = PathBuf::from("/");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = openat(CWD, &path, flags, Mode::empty()).map_err(|cause| failed(&path, cause))?;
    Ok(TrustedFolder { handle, path })
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Returns whether this user is the group's only member. Many systems give each user a group, and let it write to all
/// files that the user makes. An access list may name others, and hides behind the group's bits.
fn is_only_ours(folder: &OwnedFd, group: u32) -> bool {
    let files = ["/etc/passwd", "/etc/group"].map(|file| fs::read_to_string(file).unwrap_or_default());
    has_no_access_list(folder) && is_private(rustix::process::geteuid().as_raw(), group, &files[0], &files[1])
}

fn has_no_access_list(folder: &OwnedFd) -> bool {
    let path = format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd());
    let list = rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0; 0][..]);
    matches!(list, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Returns whether this is the user's own group by passwd(5) and group(5), without other members.
fn is_private(user: u32, group: u32, passwd: &str, groups: &str) -> bool {
    let users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let mut numbers = fields.skip(1).map_while(|field| field.parse::<u32>().ok());
        Some((name, numbers.next()?, numbers.next()?))
    });
    let users: Vec<_> = users.collect();
    let of_group: Vec<_> = users.iter().filter(|(_, _, primary)| *primary == group).collect();
    let members = groups.lines().find_map(|line| {
        let [_, _, number, members] = line.split(':').collect::<Vec<_>>().try_into().ok()?;
        (number.parse() == Ok(group)).then(|| members.split(',').filter(|member| !member.is_empty()))
    });
    let ours = |member: &str| users.iter().any(|(name, number, _)| *name == member && *number == user);
    !of_group.is_empty()
        && of_group.iter().all(|(_, number, _)| *number == user)
        && members.is_some_and(|mut members| members.all(ours))
}

fn failed(path: &Path, cause: impl Into<std::io::Error>) -> UntrustedFolder {
    UntrustedFolder::Io { path: path.to_owned(), cause: cause.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(path: &Path) -> String {
        TrustedFolder::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_of_our_own_is_trusted_also_in_a_sticky_one() {
        let top = tempfile::tempdir().unwrap();
        let made = top.path().join("a/b/../c");
        let folder = TrustedFolder::create(&made, Mode::RWXU).unwrap();
        assert_eq!(folder.path(), top.path().canonicalize().unwrap().join("a/c"));
        assert_eq!(folder.path().metadata().unwrap().mode() & 0o777, 0o700);
        let sticky = top.path().join("sticky");
        fs::create_dir(&sticky).unwrap();
        chmod(&sticky, 0o1777);
        assert!(TrustedFolder::create(&sticky.join("ours"), Mode::RWXU).is_ok());
    }

    #[test]
    fn a_folder_below_one_that_others_may_write_to_is_not() {
        let top = tempfile::tempdir().unwrap();
        let (open, below) = (top.path().join("open"), top.path().join("open/below"));
        fs::create_dir_all(&below).unwrap();
        chmod(&below, 0o700);
        for mode in [0o777, 0o702] {
            chmod(&open, mode);
            assert!(refusal(&below).contains("open` may be written to by other users"), "{mode:o}");
        }
        chmod(&open, 0o700);
        assert!(TrustedFolder::open(&below).is_ok());
    }

    #[test]
    fn links_are_followed_to_what_is_judged() {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| top.path().join(name);
        fs::create_dir_all(path("safe/below")).unwrap();
        fs::create_dir_all(path("open/below")).unwrap();
        chmod(&path("open"), 0o777);
        symlink("safe/below", path("relative")).unwrap();
        symlink(path("relative"), path("absolute")).unwrap();
        symlink(path("open/below"), path("out")).unwrap();
        symlink("../open/../safe", path("safe/through")).unwrap();
        symlink("loop", path("loop")).unwrap();
        let real = path("safe/below").canonicalize().unwrap();
        assert_eq!(TrustedFolder::open(&path("absolute/.")).unwrap().path(), real);
        assert!(refusal(&path("out")).contains("open` may be written to"));
        assert!(refusal(&path("safe/through")).contains("open` may be written to"));
        assert!(refusal(&path("loop")).contains("loop`: "));
        assert!(TrustedFolder::open(&path("missing")).unwrap_err().is_missing());
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(TrustedFolder::open(file.path()), Err(UntrustedFolder::Io { .. })));
    }

    #[test]
    fn another_users_folder_and_link_are_not_trusted() {
        // Only root can make folders of other users. An unprivileged user sees every other owner as foreign.
        assert!(rustix::process::geteuid().is_root(), "run the tests as root");
        let top = tempfile::tempdir().unwrap();
        chmod(top.path(), 0o755);
        let (theirs, link) = (top.path().join("theirs"), top.path().join("link"));
        fs::create_dir_all(theirs.join("ours")).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
        assert!(refusal(&theirs).contains("theirs` belongs to user 65534"));
        assert!(refusal(&theirs.join("ours")).contains("theirs` belongs to user 65534"));
        assert!(refusal(&theirs.join("..")).contains("theirs` belongs to user 65534"));
        fs::create_dir(top.path().join("safe")).unwrap();
        symlink("safe", &link).unwrap();
        assert!(TrustedFolder::open(&link).is_ok());
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert!(refusal(&link).contains("link` belongs to user 65534"));
    }

    #[test]
    fn a_group_is_private_if_nobody_else_is_in_it() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1002::/:/bin/sh\n\
                      eve:x:1002:1002::/:/bin/sh\n";
        let groups = "root:x:0:\nann:x:1000:\nann2:x:1003:ann\nwith:x:1002:\n";
        let private = |user, group| is_private(user, group, passwd, groups);
        assert!(private(1000, 1000));
        assert!(!private(1001, 1002), "eve has the same");
        assert!(!private(1000, 1003), "not hers: programs with that group may be anybody's");
        assert!(!private(1000, 4), "unknown");
        assert!(!is_private(1000, 1000, passwd, "ann:x:1000:ann,eve\n"));
        assert!(is_private(1000, 1000, passwd, "ann:x:1000:ann\n"));
    }
}
