//! An address that one run owns, from before its Envoy starts until the end.
//!
//! Envoy cannot inherit a socket, so Weir cannot listen for it. Weir holds a socket that is bound to the address and
//! does not listen. When another socket is bound to the same address, the kernel compares the `SO_REUSEADDR` option of
//! both (socket(7)):
//!
//! 1. Weir listens, which fails if another program already listens, and then stops listening but stays bound.
//!    `SO_REUSEADDR` is off: the kernel refuses every other socket, of every user, whatever options it has.
//! 2. Just before Weir sends Envoy the listener, it turns `SO_REUSEADDR` on ([`ReservedAddress::admit`]). The kernel
//!    then accepts Envoy's socket.
//! 3. Envoy listens, without `SO_REUSEPORT`, and the kernel refuses every other socket because of Envoy's.
//! 4. When Envoy is ready, Weir turns `SO_REUSEADDR` off again ([`ReservedAddresses::close`]). If Envoy dies, no other
//!    program can take the port while the command still runs.
//!
//! For milliseconds, between steps 2 and 3, another program can still be the first to listen. Then Envoy cannot, and
//! the run ends with an error or, if any port is acceptable, takes another one. Two programs never listen at a time.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{self, AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

/// The number of attempts. Two programs that begin to listen at the same moment may both be refused; one of them
/// succeeds at the next attempt.
const TRIES: u32 = 4;

/// An address that no other program can take.
#[derive(Debug)]
pub(crate) struct ReservedAddress {
    wanted: SocketAddr,
    address: SocketAddr,
    socket: OwnedFd,
}

impl ReservedAddress {
    /// Reserves the address, or a free port of it if its port is 0.
    ///
    /// # Errors
    /// When another program has the address, or it is not an address of this machine.
    pub(crate) fn new(wanted: SocketAddr) -> io::Result<Self> {
        let wanted = canonical(wanted);
        let mut tried = 0;
        loop {
            tried += 1;
            match take(wanted) {
                Ok((address, socket)) => return Ok(Self { wanted, address, socket }),
                Err(error) if error == rustix::io::Errno::ADDRINUSE && tried < TRIES => {
                    // Programs that collided at one attempt wait for unequal times.
                    let unequal = RandomState::new().hash_one(tried) % 8 + 1;
                    std::thread::sleep(Duration::from_millis(unequal));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the address with its actual port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether the address was requested with port 0, so that any free port is acceptable.
    pub(crate) fn is_any_port(&self) -> bool {
        self.wanted.port() == 0
    }

    /// Reserves another free port of the address.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) fn another(&self) -> io::Result<Self> {
        Self::new(self.wanted)
    }

    /// Allows Envoy to bind its socket to the address.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn admit(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseaddr(&self.socket, true)?)
    }

    /// Refuses every further socket beside Envoy's.
    fn close(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseaddr(&self.socket, false)?)
    }
}

/// The reserved addresses of a run.
#[derive(Debug)]
pub(crate) struct ReservedAddresses {
    addresses: Mutex<Vec<ReservedAddress>>,
    closed: AtomicBool,
}

impl ReservedAddresses {
    /// Takes over these reserved addresses.
    pub(crate) fn new(addresses: Vec<ReservedAddress>) -> Self {
        Self { addresses: Mutex::new(addresses), closed: AtomicBool::new(false) }
    }

    /// Calls [`ReservedAddress::admit`] for each address, and does nothing after [`Self::close`]: Envoy keeps its
    /// socket when a listener is replaced.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn admit(&self) -> io::Result<()> {
        self.with(|addresses| {
            if self.closed.load(Ordering::SeqCst) {
                return Ok(());
            }
            addresses.iter().try_for_each(ReservedAddress::admit)
        })
    }

    /// Refuses every further socket beside Envoy's, for as long as these addresses are held.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.with(|addresses| {
            self.closed.store(true, Ordering::SeqCst);
            addresses.iter().try_for_each(ReservedAddress::close)
        })
    }

    /// Returns the addresses in their order.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.with(|addresses| addresses.iter().map(ReservedAddress::address).collect())
    }

    /// Reserves another port in place of this address, if any port is acceptable. Returns whether it did.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) fn replace(&self, lost: SocketAddr) -> io::Result<bool> {
        self.with(|addresses| {
            let any_port =
                |reserved: &&mut ReservedAddress| reserved.address == lost && reserved.is_any_port();
            let Some(reserved) = addresses.iter_mut().find(any_port) else { return Ok(false) };
            *reserved = reserved.another()?;
            Ok(true)
        })
    }

    fn with<T>(&self, call: impl FnOnce(&mut Vec<ReservedAddress>) -> T) -> T {
        // A panic cannot leave a value half changed.
        call(&mut self.addresses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn take(wanted: SocketAddr) -> rustix::io::Result<(SocketAddr, OwnedFd)> {
    // The kernel keeps the port of a socket that stopped listening only if the socket was bound to a named port.
    let chosen = if wanted.port() == 0 { Some(bound(wanted)?) } else { None };
    let address = match &chosen {
        Some(chosen) => SocketAddr::try_from(net::getsockname(chosen)?)?,
        None => wanted,
    };
    let socket = bound(address)?;
    net::listen(&socket, 1)?;
    sockopt::set_socket_reuseaddr(&socket, false)?;
    // On Linux, `shutdown` stops a socket's listening and keeps it bound.
    net::shutdown(&socket, Shutdown::Read)?;
    Ok((address, socket))
}

/// Binds a socket with the options of Envoy's listeners. Connections that have ended do not prevent this.
fn bound(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    Ok(socket)
}

/// Converts an IPv4-mapped IPv6 address to the IPv4 address, which it is for the kernel.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    fn loopback() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    /// Makes a listener as a second Envoy would.
    fn sharing(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        net::bind(&socket, &address)?;
        net::listen(&socket, 1)?;
        Ok(socket)
    }

    /// Every address that accepts connections to `127.0.0.1:PORT`.
    fn overlapping(port: u16) -> [SocketAddr; 4] {
        ["127.0.0.1", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"]
            .map(|ip| format!("{ip}:{port}").parse().unwrap())
    }

    #[test]
    fn nobody_listens_on_a_reserved_address() {
        let reserved = ReservedAddress::new(loopback()).unwrap();
        for address in overlapping(reserved.address().port()) {
            assert!(sharing(address).is_err(), "{address}");
            assert!(TcpListener::bind(address).is_err(), "{address}");
        }
        assert!(ReservedAddress::new(reserved.address()).is_err());
        assert!(TcpStream::connect(reserved.address()).is_err(), "it takes no connection itself");
    }

    #[test]
    fn one_listener_is_admitted_and_then_nobody_else() {
        let reserved = ReservedAddress::new(loopback()).unwrap();
        reserved.admit().unwrap();
        let envoy = TcpListener::bind(reserved.address()).unwrap();
        for address in overlapping(reserved.address().port()) {
            assert!(sharing(address).is_err(), "{address}");
        }
        assert!(ReservedAddress::new(reserved.address()).is_err());
        assert!(TcpStream::connect(reserved.address()).is_ok());
        drop(envoy);
        drop(reserved);
    }

    #[test]
    fn an_address_is_free_at_once_after_connections_to_it_have_ended() {
        let reserved = ReservedAddress::new(loopback()).unwrap();
        reserved.admit().unwrap();
        let listener = TcpListener::bind(reserved.address()).unwrap();
        let client = TcpStream::connect(reserved.address()).unwrap();
        // The end that closes first keeps the port in TIME_WAIT.
        drop(listener.accept().unwrap());
        drop(client);
        let address = reserved.address();
        drop((listener, reserved));
        assert_eq!(ReservedAddress::new(address).unwrap().address(), address);
    }

    #[test]
    fn what_somebody_listens_on_is_not_reserved() {
        let taken = TcpListener::bind(loopback()).unwrap();
        for address in overlapping(taken.local_addr().unwrap().port()) {
            // A socket on `[::]` accepts no IPv4 connections here, so that it has another address.
            assert_eq!(
                ReservedAddress::new(address).is_err(),
                address.ip() != "::".parse::<IpAddr>().unwrap()
            );
        }
    }

    #[test]
    fn of_many_at_once_one_gets_the_address() {
        for _ in 0..20 {
            let address = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
            let taken: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ReservedAddress::new(address))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(taken.iter().filter(|taken| taken.is_ok()).count() <= 1, "{taken:?}");
        }
    }

    #[test]
    fn only_a_port_that_was_left_open_is_replaced() {
        let any = ReservedAddress::new(loopback()).unwrap();
        let named = ReservedAddress::new(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))).unwrap();
        let (first, second) = (any.address(), named.address());
        let addresses = ReservedAddresses::new(vec![any, named]);
        assert!(addresses.replace(first).unwrap());
        assert!(!addresses.replace(second).unwrap());
        assert_ne!(addresses.addresses()[0], first);
        assert_eq!(addresses.addresses()[1], second);
    }

    fn free_port() -> u16 {
        TcpListener::bind(loopback()).unwrap().local_addr().unwrap().port()
    }
}
