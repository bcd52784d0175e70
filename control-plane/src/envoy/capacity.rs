//! The limits of one Envoy: open files and heap. Envoy refuses new work at these limits, before the kernel refuses an
//! open file or ends the process.

pub mod memory;
pub mod open_files;

/// Files for Envoy itself: the admin socket, the stream to the control plane, DNS, and its log.
const RESERVED_FILES: u64 = 64;
/// Files for one worker: its listening sockets and its event loop.
const FILES_OF_A_WORKER: u64 = 16;
/// The number of clusters that connect to upstreams and share their files: https, upgrades, http, and passthrough.
const WAYS_OUT: u64 = 4;

/// The number of client connections below which Weir warns.
const SMALL: u32 = 5_000;

/// The limits of one Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The maximum number of client connections at a time. A tunnel counts twice, and has one open file.
    pub connections: u32,
    /// The maximum number of connections of one cluster to upstreams at a time.
    pub upstream_connections: u32,
    /// The maximum number of names in the DNS cache. Envoy opens a first connection to each name's host even beyond a
    /// cluster's limit.
    pub names: u32,
    /// The maximum number of pools that a worker has for single connections of clients. Envoy opens a first connection of
    /// each pool even beyond a cluster's limit.
    pub separate_pools: u16,
    /// The maximum size of Envoy's heap in bytes.
    pub heap: u64,
}

impl Capacity {
    /// The limits on a machine with enough of everything.
    pub const FULL: Self = Self {
        connections: 20_000,
        upstream_connections: 2048,
        names: 16_384,
        separate_pools: 256,
        heap: memory::MOST,
    };

    /// Computes the limits from the number of open files and workers, and from the heap's size in bytes.
    ///
    /// Clients get half of the files. Upstreams get the other half: one half of it bounds the connections of the
    /// clusters, and the other half bounds the first connections that each worker makes to each name, and those that it
    /// makes for single connections of clients.
    pub fn new(open_files: u64, workers: usize, heap: u64) -> Self {
        let workers = u64::try_from(workers).unwrap_or(u64::MAX).max(1);
        let free = open_files
            .saturating_sub(RESERVED_FILES.saturating_add(FILES_OF_A_WORKER.saturating_mul(workers)));
        let first = free / 4 / workers;
        let separate_pools = (first / 8).min(u64::from(Self::FULL.separate_pools));
        let within =
            |share: u64, most: u32| u32::try_from(share.max(1)).map_or(most, |share| share.min(most));
        Self {
            connections: within(free / 2, Self::FULL.connections),
            upstream_connections: within(free / 4 / WAYS_OUT, Self::FULL.upstream_connections),
            names: within(first.saturating_sub(separate_pools), Self::FULL.names),
            separate_pools: u16::try_from(separate_pools.max(1)).unwrap_or(Self::FULL.separate_pools),
            heap,
        }
    }

    /// Returns whether a workload may notice the limit of open files.
    pub fn is_small(&self) -> bool {
        self.connections < SMALL
    }

    /// Describes the limits.
    pub fn describe(&self) -> String {
        let Self { connections, upstream_connections, names, separate_pools: _, heap: _ } = self;
        format!(
            "{connections} connections of clients (a tunnel is two), {upstream_connections} to upstreams for each way out, \
             {names} names"
        )
    }
}

/// The advice for a small number of open files.
pub const MORE_OPEN_FILES: &str =
    "raise the hard limit of open files (`ulimit -Hn`, `LimitNOFILE=`) to 300000 for the full limits";

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the maximum number of files that clients, clusters and names use together.
    fn files(capacity: Capacity, workers: u64) -> u64 {
        u64::from(capacity.connections)
            + WAYS_OUT * u64::from(capacity.upstream_connections)
            + workers * (u64::from(capacity.names) + u64::from(capacity.separate_pools))
            + RESERVED_FILES
            + FILES_OF_A_WORKER * workers
    }

    #[test]
    fn all_limits_together_fit_into_the_open_files() {
        for open_files in [256, 1024, 4096, 20_000, 65_536, 524_288] {
            for workers in [1, 2, 4] {
                let capacity = Capacity::new(open_files, workers, 0);
                assert!(files(capacity, workers as u64) <= open_files, "{open_files} {workers} {capacity:?}");
            }
        }
    }

    #[test]
    fn a_large_machine_has_the_full_limits_and_a_small_one_less() {
        for open_files in [300_000, 524_288, u64::MAX] {
            assert_eq!(Capacity::new(open_files, 4, Capacity::FULL.heap), Capacity::FULL, "{open_files}");
        }
        let small = Capacity::new(4096, 2, 0);
        assert!(small.is_small());
        assert_eq!((small.connections, small.upstream_connections), (2000, 250));
        assert_eq!((small.names, small.separate_pools), (438, 62));
        // Even with too few files for anything, Envoy accepts the configuration.
        assert_eq!(Capacity::new(0, 2, 0).connections, 1);
    }
}
