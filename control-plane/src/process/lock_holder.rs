//! The process that holds a lock of a file, as Linux tells it in /proc/locks, for a message.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    process: u32,
    name: String,
}

impl LockHolder {
    /// The process that holds the lock (flock(2)) of this file. `None` where that cannot be known: the process may be in
    /// another container or on another machine.
    pub fn find(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        let device = metadata.dev();
        let id = format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino());
        let process = holder_in(&fs::read_to_string("/proc/locks").ok()?, &id)?;
        let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        Some(Self { process, name: name.trim_end().to_owned() })
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` (process {})", self.name, self.process)
    }
}

/// Reads lines such as `1: FLOCK  ADVISORY  WRITE 412 fe:01:1234 0 EOF`. A line of a process that waits has an arrow.
fn holder_in(locks: &str, id: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, process, of, ..] = fields.as_slice() else { return None };
        if *of == id { process.parse().ok().filter(|process| *process > 0) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(LockHolder::find(&file), None);
        file.lock().unwrap();
        assert_eq!(LockHolder::find(&file).map(|holder| holder.process), Some(std::process::id()));
    }

    #[test]
    fn a_process_that_waits_is_no_holder() {
        let locks = "1: FLOCK  ADVISORY  WRITE 412 fe:01:1234 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 413 fe:01:1235 0 EOF\n";
        assert_eq!(holder_in(locks, "fe:01:1234"), Some(412));
        assert_eq!(holder_in(locks, "fe:01:1235"), None);
    }
}
