//! The memory that this process may use: the machine's, or the smallest limit of its control groups.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The maximum default size of Envoy's heap.
pub const MOST: u64 = 2 << 30;
/// The minimum size of a heap with which Envoy works.
pub const LEAST: u64 = 64 << 20;

/// Returns the default size of Envoy's heap: a quarter of the memory. Envoy looks at its heap four times a second, and
/// its resident memory was seen at 2.8 times the limit (567 MB at 200 MB) under a flood of requests with large headers.
pub fn heap() -> u64 {
    available(Path::new("/")).map_or(MOST, |memory| (memory / 4).clamp(LEAST, MOST))
}

/// Returns the bytes that this process may use, or `None` if the system does not report them. `root` is the folder of
/// `/proc` and `/sys`.
fn available(root: &Path) -> Option<u64> {
    let machine = read_to_string(root.join("proc/meminfo")).ok().and_then(|text| total(&text));
    let groups = read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups
        .lines()
        .filter_map(|line| limit_file(root, line))
        .flat_map(|(mount, group, name)| limits(&mount, &group, name));
    machine.into_iter().chain(limits).min()
}

/// Reads `MemTotal` of proc_meminfo(5), in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the place of the limit for a line of `/proc/self/cgroup` (cgroups(7)): the mount point, the group below it,
/// and the file's name.
fn limit_file(root: &Path, line: &str) -> Option<(PathBuf, String, &'static str)> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let group = group.trim_start_matches('/').to_owned();
    if controllers.is_empty() {
        Some((root.join("sys/fs/cgroup"), group, "memory.max"))
    } else if controllers.split(',').any(|controller| controller == "memory") {
        Some((root.join("sys/fs/cgroup/memory"), group, "memory.limit_in_bytes"))
    } else {
        None
    }
}

/// Returns the limits of a group and of all groups above it. A container shows its own group at the mount point,
/// whatever the path.
fn limits(mount: &Path, group: &str, name: &'static str) -> Vec<u64> {
    let group = mount.join(group);
    let above = group.ancestors().take_while(|folder| folder.starts_with(mount)).map(Path::to_owned);
    above.filter_map(|folder| read_to_string(folder.join(name)).ok()?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:  1 kB\n");

    #[test]
    fn the_smallest_limit_of_machine_and_groups_counts() {
        let own = ("proc/self/cgroup", "0::/a/b\n");
        let machine = 8_000_000 * 1024;
        for (files, expected) in [
            (vec![MEMINFO], machine),
            (vec![MEMINFO, own, ("sys/fs/cgroup/a/b/memory.max", "max\n")], machine),
            (vec![MEMINFO, own, ("sys/fs/cgroup/a/b/memory.max", "536870912\n")], 536_870_912),
            (
                vec![
                    MEMINFO,
                    own,
                    ("sys/fs/cgroup/a/memory.max", "1000\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "2000\n"),
                ],
                1000,
            ),
            // A container, in which the group is the mount point.
            (vec![MEMINFO, own, ("sys/fs/cgroup/memory.max", "3000\n")], 3000),
        ] {
            assert_eq!(available(system(&files).path()), Some(expected), "{files:?}");
        }
    }

    #[test]
    fn the_older_control_groups_count_too() {
        let own = ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/x\n1:cpu:/\n0::/\n");
        let limit = ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4000\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(available(system(&[MEMINFO, own, limit, unlimited]).path()), Some(4000));
    }

    #[test]
    fn a_system_that_says_nothing_has_no_limit() {
        assert_eq!(available(system(&[]).path()), None);
        assert_eq!(
            available(system(&[("proc/meminfo", "MemTotal: many\n"), ("proc/self/cgroup", "odd\n")]).path()),
            None
        );
    }
}
