//! The errors of a state folder, each with its help.

use std::io;
use std::path::{Path, PathBuf};

use crate::folder::trusted::UntrustedFolder;
use crate::output::advice::Advice;

/// An error for an unusable state folder. Every message says how to correct it.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub enum StateFolderError {
    /// No option names a folder, and the environment names no home.
    NoPlace,
    /// Another user can replace the folder or a part of its path.
    Untrusted {
        /// The state folder.
        path: PathBuf,
        /// The fault of the path.
        cause: UntrustedFolder,
    },
    /// Other users can read or write a private file or folder.
    OpenToOthers {
        /// The folder or file.
        path: PathBuf,
        /// The permission bits of the folder or file.
        mode: u32,
        /// The widest permission bits that are accepted.
        wanted: u32,
    },
    /// Another user owns the file or folder, and could change it at any time.
    ForeignOwner {
        /// The folder or file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// The operating system refused.
    Io {
        /// The action, as a verb.
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        cause: io::Error,
    },
}

impl Advice for StateFolderError {
    fn message(&self) -> String {
        match self {
            Self::NoPlace => {
                "no place for the state folder: neither `XDG_STATE_HOME` nor `HOME` is set".to_owned()
            }
            Self::Untrusted { path, cause } => {
                format!("the state folder `{}` is not safe: {cause}", path.display())
            }
            Self::OpenToOthers { path, mode, .. } => {
                format!(
                    "`{}` is open to other users (mode {mode:04o}), and it guards a secret",
                    path.display()
                )
            }
            Self::ForeignOwner { path, owner, user } => {
                format!("`{}` belongs to user {owner}, not to user {user} who runs this", path.display())
            }
            Self::Io { action, path, cause } => format!("cannot {action} `{}`: {cause}", path.display()),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoPlace => "name a folder with `--state DIR`".to_owned(),
            Self::Untrusted { cause, .. } => untrusted_help(cause),
            Self::OpenToOthers { path, wanted, .. } => format!("run `chmod {wanted:03o} {}`", quoted(path)),
            Self::ForeignOwner { path, user, .. } => {
                format!("name another, or run `chown {user} {}`", quoted(path))
            }
            Self::Io { cause, .. } => io_help(cause).to_owned(),
        })
    }
}

impl StateFolderError {
    /// Makes the error of a refusal by the operating system.
    pub(crate) fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), cause }
    }

    /// Chooses the error for an untrusted path. If the state folder itself has another owner, the error names the two
    /// users.
    pub(super) fn untrusted(path: &Path, cause: UntrustedFolder) -> Self {
        let user = rustix::process::geteuid().as_raw();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match cause {
            UntrustedFolder::ForeignOwner { path, owner } if path == absolute => {
                Self::ForeignOwner { path, owner, user }
            }
            UntrustedFolder::WritableByOthers { path, mode } if path == absolute => {
                Self::OpenToOthers { path, mode, wanted: super::FOLDER_MODE }
            }
            UntrustedFolder::Io { path, cause } => Self::Io { action: "open", path, cause },
            cause @ (UntrustedFolder::ForeignOwner { .. } | UntrustedFolder::WritableByOthers { .. }) => {
                Self::Untrusted { path: absolute, cause }
            }
        }
    }
}

fn io_help(cause: &io::Error) -> &'static str {
    if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        "make space on its disk, or name another folder with `--state DIR`"
    } else {
        "name a folder that you may write to with `--state DIR`"
    }
}

fn untrusted_help(cause: &UntrustedFolder) -> String {
    match cause {
        UntrustedFolder::WritableByOthers { path, .. } => {
            format!("run `chmod go-w {}`, or name another folder with `--state DIR`", quoted(path))
        }
        UntrustedFolder::ForeignOwner { .. } | UntrustedFolder::Io { .. } => {
            "name a folder with `--state DIR` that no other user can replace, such as `--state /var/lib/weir`"
                .to_owned()
        }
    }
}

/// Quotes the path as one word of a shell, so that a person can paste the command of a message.
fn quoted(path: &Path) -> String {
    crate::output::shell::quoted(&path.to_string_lossy())
}
