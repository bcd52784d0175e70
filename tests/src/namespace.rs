//! A network on one machine: a network namespace for the workload, and one for the outside.
//!
//! Only a cable (veth) joins the two. A call runs inside one of them, with all sockets, threads and children that it
//! makes.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Gid, Uid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_res_gid, set_thread_res_uid};

use crate::{Deadline, Process, require_program};

/// The time limit for a silent server.
const SILENCE: Duration = Duration::from_secs(2);

/// Addresses in the outside namespace (documentation space, RFC 5737 and 3849), one of each family.
pub const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, 7))];

/// The two namespaces. Dropping this value removes them.
#[derive(Debug)]
pub struct Network {
    inside: Namespace,
    outside: Namespace,
}

#[derive(Debug)]
struct Namespace {
    holder: Process,
    handle: File,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// The client's result from an echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The server echoed the byte.
    Echo,
    /// The connection was refused, by a reset or an ICMP error.
    Refused,
    /// The kernel refused to send.
    Forbidden,
    /// The server did not respond.
    Silence,
}

impl Network {
    /// Creates both namespaces and joins them. Needs root.
    pub fn new() -> Result<Self> {
        let (inside, outside) = (Namespace::new()?, Namespace::new()?);
        let outside_pid = outside.holder.id().number().to_string();
        inside.run(|| {
            ip("link add weir0 type veth peer name weir1 netns", &[&outside_pid])?;
            ip("link set lo up", &[])?;
            ip("link set weir0 up", &[])?;
            ip("address add 198.18.0.1/24 dev weir0", &[])?;
            ip("address add fd00:198:18::1/64 dev weir0 nodad", &[])
        })?;
        outside.run(|| {
            ip("link set lo up", &[])?;
            ip("link set weir1 up", &[])?;
            ip("address add 198.18.0.2/24 dev weir1", &[])?;
            ip("address add fd00:198:18::2/64 dev weir1 nodad", &[])?;
            OUTSIDE.iter().try_for_each(|address| ip("address add dev lo", &[&address.to_string()]))
        })?;
        inside.run(|| {
            ip("route add default via 198.18.0.2", &[])?;
            ip("route add default via fd00:198:18::2", &[])
        })?;
        Ok(Self { inside, outside })
    }

    /// Runs the call in the workload's namespace.
    pub fn inside<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.inside.run(call)
    }

    /// Runs the call in the outside namespace.
    pub fn outside<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        self.outside.run(call)
    }

    /// Adds an address to the workload's namespace.
    pub fn add_address(&self, address: IpAddr) -> Result<()> {
        let prefix = if address.is_ipv4() { "32" } else { "128 nodad" };
        self.inside(|| ip(&format!("address add dev weir0 {address}/{prefix}"), &[]))
    }

    /// Adds an address to the outside namespace.
    pub fn add_address_outside(&self, address: IpAddr) -> Result<()> {
        self.outside(|| ip("address add dev lo", &[&address.to_string()]))
    }

    /// Makes the kernel deliver a network locally in the workload's namespace, without an address on an interface.
    pub fn add_local_network(&self, network: &str) -> Result<()> {
        self.inside(|| ip("route add local", &[network, "dev", "lo"]))
    }

    /// Loads an nftables ruleset in the workload's namespace.
    pub fn load(&self, ruleset: &[u8]) -> Result<()> {
        self.inside(|| {
            require_program("nft")?;
            // nft looks for control groups in this folder, where some systems mount version 1.
            const LOAD: &str = "mount -t cgroup2 none /sys/fs/cgroup && exec nft -f -";
            let mut command = Command::new(require_program("unshare")?);
            let mut nft = command.args(["--mount", "sh", "-c", LOAD]).stdin(Stdio::piped()).spawn()?;
            nft.stdin.take().context("nft has no standard input")?.write_all(ruleset)?;
            let status = nft.wait()?;
            ensure!(
                status.success(),
                "nft refused the ruleset ({status}):\n{}",
                String::from_utf8_lossy(ruleset)
            );
            Ok(())
        })
    }
}

impl Namespace {
    fn new() -> Result<Self> {
        let mut command = Process::command(require_program("unshare")?);
        let mut holder = Process::start("unshare", command.args(["--net", "sleep", "infinity"]))?;
        let path = format!("/proc/{}/ns/net", holder.id().number());
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let handle = Deadline::seconds(10).poll("a network namespace", || {
            if let Some(status) = holder.ended()? {
                let stderr = holder.stderr().text();
                anyhow::bail!("no network namespace ({status}): {stderr}\nhelp: run the tests as root");
            }
            Ok(if std::fs::read_link(&path)? == ours { None } else { Some(File::open(&path)?) })
        })?;
        Ok(Self { holder, handle })
    }

    fn run<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let ours = File::open("/proc/thread-self/ns/net")?;
        enter(&self.handle)?;
        let result = call();
        enter(&ours)?;
        result
    }
}

fn enter(namespace: &File) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter a network namespace\nhelp: run the tests as root")
}

fn ip(words: &str, more: &[&str]) -> Result<()> {
    let mut command = Command::new(require_program("ip")?);
    let output = command.args(words.split(' ')).args(more).output()?;
    ensure!(output.status.success(), "ip {words} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Runs an echo server on this address until the test ends. To be called in the server's namespace.
pub fn echo(transport: Transport, address: SocketAddr) -> Result<()> {
    match transport {
        Transport::Tcp => {
            let listener = TcpListener::bind(address)?;
            thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    thread::spawn(move || {
                        let mut byte = [0];
                        while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
                    });
                }
            });
        }
        Transport::Udp => {
            let socket = UdpSocket::bind(address)?;
            thread::spawn(move || {
                let mut byte = [0];
                while let Ok((count, client)) = socket.recv_from(&mut byte) {
                    socket.send_to(&byte[..count], client).ok();
                }
            });
        }
    }
    Ok(())
}

/// Runs the call as another user. To be called in that user's namespace.
pub fn as_user<T: Send>(uid: u32, call: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // Credentials belong to a thread.
    thread::scope(|scope| {
        let user = scope.spawn(|| {
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            set_thread_res_gid(group, group, group)?;
            set_thread_res_uid(user, user, user)?;
            call()
        });
        user.join().map_err(|_| anyhow::anyhow!("the user's thread panicked"))?
    })
}

/// Sends one byte to an echo server.
pub fn try_echo(transport: Transport, address: SocketAddr) -> Result<Reached> {
    let exchange = || match transport {
        Transport::Tcp => exchange(&mut TcpStream::connect_timeout(&address, SILENCE)?),
        Transport::Udp => {
            let any: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(address)?;
            socket.set_read_timeout(Some(SILENCE))?;
            socket.send(b"x")?;
            socket.recv(&mut [0]).map(drop)
        }
    };
    let error = match exchange() {
        Ok(()) => return Ok(Reached::Echo),
        Err(error) => error,
    };
    if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) {
        Ok(Reached::Refused)
    } else if error.kind() == ErrorKind::PermissionDenied {
        Ok(Reached::Forbidden)
    } else if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) {
        Ok(Reached::Silence)
    } else {
        Err(error).with_context(|| format!("{transport:?} to {address}"))
    }
}

/// Sends one byte to an echo server over an existing connection.
pub fn exchange(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}
