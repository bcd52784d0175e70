//! An address that one run owns, from before its Envoy starts until the end.
//!
//! Envoy cannot inherit a socket, so Weir cannot listen in its place. Weir holds a socket that is bound to the address and
//! does not listen. The kernel compares `SO_REUSEADDR` of both sockets when another one is to be bound beside it (socket(7)):
//!
//! 1. Weir listens, which fails where anybody listens already, and then only keeps the port. `SO_REUSEADDR` is off: the
//!    kernel refuses every other socket, of every user, whatever options it has.
//! 2. Just before Envoy is told to listen, Weir turns `SO_REUSEADDR` on ([`ReservedAddress::admit`]), and Envoy's socket
//!    fits beside.
//! 3. Envoy listens, without `SO_REUSEPORT`, and the kernel refuses every other socket because of Envoy's.
//! 4. When Envoy is ready, Weir turns `SO_REUSEADDR` off again ([`ReservedAddresses::close`]). Should Envoy die, nobody can
//!    take the port while the command still runs.
//!
//! Between the second and the third, which are milliseconds, another program can still be the first to listen. Then Envoy cannot, and
//! the run ends with an error or, if any port will do, takes another one. At no time do two programs listen.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{self, AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

/// Two programs that begin to listen at the same moment may both be refused. One of them is the first of the next try.
const TRIES: u32 = 4;

/// An address that nobody else can take.
#[derive(Debug)]
pub(crate) struct ReservedAddress {
    wanted: SocketAddr,
    address: SocketAddr,
    socket: OwnedFd,
}

impl ReservedAddress {
    /// Reserves the address; a free port of it if its port is 0.
    ///
    /// # Errors
    /// Somebody else has it, or it is none of this machine's.
    pub(crate) fn new(wanted: SocketAddr) -> io::Result<Self> {
        let wanted = canonical(wanted);
        let mut tried = 0;
        loop {
            tried += 1;
            match take(wanted) {
                Ok((address, socket)) => return Ok(Self { wanted, address, socket }),
                Err(error) if error == rustix::io::Errno::ADDRINUSE && tried < TRIES => {
                    // Programs that met each other at one try wait for unequal times.
                    let unequal = RandomState::new().hash_one(tried) % 8 + 1;
                    std::thread::sleep(Duration::from_millis(unequal));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The address, with the port that was taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether any free port will do.
    pub(crate) fn is_any_port(&self) -> bool {
        self.wanted.port() == 0
    }

    /// Another free port in its place.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn another(&self) -> io::Result<Self> {
        Self::new(self.wanted)
    }

    /// Lets Envoy's socket in beside.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn admit(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseaddr(&self.socket, true)?)
    }

    /// Lets no further socket in beside Envoy's.
    fn close(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseaddr(&self.socket, false)?)
    }
}

/// The addresses of a run.
#[derive(Debug)]
pub(crate) struct ReservedAddresses {
    addresses: Mutex<Vec<ReservedAddress>>,
    closed: AtomicBool,
}

impl ReservedAddresses {
    /// Holds these.
    pub(crate) fn new(addresses: Vec<ReservedAddress>) -> Self {
        Self { addresses: Mutex::new(addresses), closed: AtomicBool::new(false) }
    }

    /// Calls [`ReservedAddress::admit`] for each address, until [`Self::close`] was called: Envoy keeps its socket when a
    /// listener is replaced.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn admit(&self) -> io::Result<()> {
        self.with(|addresses| {
            if self.closed.load(Ordering::SeqCst) {
                return Ok(());
            }
            addresses.iter().try_for_each(ReservedAddress::admit)
        })
    }

    /// Lets no further socket in beside Envoy's, for as long as these addresses are held.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.with(|addresses| {
            self.closed.store(true, Ordering::SeqCst);
            addresses.iter().try_for_each(ReservedAddress::close)
        })
    }

    /// The addresses, in their order.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.with(|addresses| addresses.iter().map(ReservedAddress::address).collect())
    }

    /// Takes another port in place of this one, if any port will do. False where it must be this one.
    ///
    /// # Errors
    /// There is none.
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
        // A panic leaves whole values.
        call(&mut self.addresses.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn take(wanted: SocketAddr) -> rustix::io::Result<(SocketAddr, OwnedFd)> {
    // The kernel keeps a port for a socket that no longer listens only if the port was named.
    let chosen = if wanted.port() == 0 { Some(bound(wanted)?) } else { None };
    let address = match &chosen {
        Some(chosen) => SocketAddr::try_from(net::getsockname(chosen)?)?,
        None => wanted,
    };
    let socket = bound(address)?;
    net::listen(&socket, 1)?;
    sockopt::set_socket_reuseaddr(&socket, false)?;
    // On Linux, a socket that listens goes back to one that is only bound.
    net::shutdown(&socket, Shutdown::Read)?;
    Ok((address, socket))
}

/// A socket as Envoy's will be, which is not in the way of connections that have ended.
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

/// An IPv4 address that is written as an IPv6 one is the IPv4 address: for the kernel, and so for whoever compares.
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

    /// A listener as a second Envoy would make it.
    fn sharing(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        net::bind(&socket, &address)?;
        net::listen(&socket, 1)?;
        Ok(socket)
    }

    /// Every address that takes connections to `127.0.0.1:PORT`.
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
            // `[::]` alone takes no IPv4 connections, and so it is another address.
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
