//! Finds the program that listens on an address, from Linux's /proc. The result serves error messages only, because it
//! is often unknown: a process of another user hides its sockets.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in /proc/net/tcp (`TCP_LISTEN` of the kernel's tcp_states.h).
const LISTENING: &str = "0A";

/// A socket that accepts connections to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListeningSocket {
    inode: u64,
    user: u32,
}

/// A socket with the process that holds it, for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    user: u32,
    process: Option<(u32, String)>,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((number, name)) => write!(formatter, "`{name}` (process {number}, user {})", self.user),
            None => write!(formatter, "a program of user {}", self.user),
        }
    }
}

impl ListeningSocket {
    /// Returns the process that holds the socket.
    pub fn holder(self) -> Holder {
        Holder { user: self.user, process: process_of(self.inode) }
    }

    /// Returns whether the process holds the socket, or `None` if that cannot be known.
    pub fn is_of(self, process: u32) -> Option<bool> {
        sockets_of(process).map(|sockets| sockets.contains(&self.inode))
    }
}

/// Returns the program that listens on the address, or whose listener may overlap with it.
pub fn holder(address: SocketAddr) -> Option<Holder> {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
    sockets(address).into_iter().chain(sockets(any)).next().map(ListeningSocket::holder)
}

/// Returns the sockets that accept connections to this address in this network namespace. The list is empty without a
/// /proc.
pub fn sockets(address: SocketAddr) -> Vec<ListeningSocket> {
    let tables =
        ["tcp", "tcp6"].into_iter().filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok());
    tables
        .flat_map(|table| {
            table.lines().skip(1).filter_map(|line| listening(line, address)).collect::<Vec<_>>()
        })
        .collect()
}

/// Reads a line of /proc/net/tcp: number, local address, remote address, state, …, user, …, inode.
fn listening(line: &str, address: SocketAddr) -> Option<ListeningSocket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [_, local, _, LISTENING, _, _, _, user, _, inode, ..] = fields.as_slice() else { return None };
    let takes_it = takes(socket_address(local)?, address);
    takes_it.then_some(ListeningSocket { inode: inode.parse().ok()?, user: user.parse().ok()? })
}

/// Returns whether a listener on `local` prevents one on `address`. A listener on `[::]` may accept IPv4 connections
/// too; its line in /proc does not show this.
pub(crate) fn takes(local: SocketAddr, address: SocketAddr) -> bool {
    let (one, other) = (local.ip().to_canonical(), address.ip().to_canonical());
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlapping = one == other || same_family && (one.is_unspecified() || other.is_unspecified());
    local.port() == address.port() && overlapping
}

/// Parses 32-bit words in the machine's order, and a port, in hexadecimal.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let words = (0..address.len())
        .step_by(8)
        .map(|start| u32::from_str_radix(address.get(start..start + 8)?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => IpAddr::from(bytes),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Returns the first process that has the socket. Several may have it, such as a server and its children; the first one
/// made it.
fn process_of(inode: u64) -> Option<(u32, String)> {
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut processes: Vec<u32> = processes.collect();
    processes.sort_unstable();
    let number = processes
        .into_iter()
        .find(|process| sockets_of(*process).is_some_and(|held| held.contains(&inode)))?;
    let name = fs::read(format!("/proc/{number}/comm")).ok()?;
    Some((number, crate::output::report::printable(String::from_utf8_lossy(&name).trim_end())))
}

fn sockets_of(process: u32) -> Option<BTreeSet<u64>> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    // A file may be closed between the listing and the read.
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    Some(links.filter_map(inode).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_with_its_process_also_behind_a_wildcard() {
        for listen in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(listen).unwrap();
            let local = listener.local_addr().unwrap();
            let asked = if local.is_ipv4() { "127.0.0.1" } else { "::1" };
            let sockets = sockets(SocketAddr::new(asked.parse().unwrap(), local.port()));
            let [socket] = sockets.as_slice() else { panic!("{listen}: {sockets:?}") };
            assert_eq!(socket.is_of(std::process::id()), Some(true));
            let holder = socket.holder().to_string();
            assert!(holder.contains(&format!("(process {}, user ", std::process::id())), "{holder}");
            drop(listener);
            assert_eq!(super::sockets(local), []);
        }
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(socket_address("0100007F:3A99"), Some("127.0.0.1:15001".parse().unwrap()));
        let mapped = socket_address("0000000000000000FFFF00000100007F:0050").unwrap();
        assert!(takes(mapped, "127.0.0.1:80".parse().unwrap()));
        assert!(!takes(mapped, "127.0.0.2:80".parse().unwrap()));
        assert_eq!(socket_address("xyz"), None);
    }
}
