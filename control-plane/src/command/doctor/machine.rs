//! The machine: whether its limits leave Envoy enough open files and heap.

use super::finding::Finding;
use crate::envoy::capacity::open_files::OpenFiles;
use crate::envoy::capacity::{Capacity, MORE_OPEN_FILES, memory};
use crate::local_gateway::envoy;

pub(super) fn examine() -> [Finding; 2] {
    findings(OpenFiles::read().hard, envoy::workers(), memory::heap())
}

fn findings(open_files: u64, workers: usize, heap: u64) -> [Finding; 2] {
    let capacity = Capacity::new(open_files, workers, heap);
    let what = format!("{open_files} leave {}", capacity.describe());
    let files = if capacity.is_small() {
        Finding::warning("open files", what, MORE_OPEN_FILES)
    } else {
        Finding::ok("open files", what)
    };
    let what = format!("Envoy's heap may take {} MiB; near that it refuses new work", heap >> 20);
    [files, Finding::ok("memory", what)]
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn few_open_files_are_a_warning() {
        let [files, _] = findings(4096, 2, 1 << 30);
        assert_eq!(files.severity, Severity::Warning);
        assert!(files.what.contains("2000 connections of clients"), "{files:?}");
        assert!(files.help.is_some_and(|help| help.contains("ulimit -Hn")));
        assert_eq!(findings(524_288, 2, 1 << 30)[0].severity, Severity::Ok);
    }
}
