//! The addresses on which a run listens. The run owns them from start to end: see [`crate::address::reserved`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::RunError;
use crate::address::reserved::{ReservedAddress, ReservedAddresses};
use crate::envoy::resources::names;
use crate::nodes::server::BeforeListeners;
use crate::process::listening;

/// The number of ports that a run may lose before it gives up. A program that takes so many lies in wait for each.
const MOST_LOSSES: u32 = 8;

/// The explicit proxy's address, and then the addresses for redirected connections.
#[derive(Debug)]
pub(crate) struct Listening {
    reserved: Arc<ReservedAddresses>,
    losses: AtomicU32,
}

/// One address, and the name of Envoy's listener on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) listener: &'static str,
    pub(crate) address: SocketAddr,
}

impl Door {
    fn option(self) -> &'static str {
        if self.listener == names::EXPLICIT_LISTENER { "--listen" } else { "--transparent" }
    }

    /// Makes the error for an address on which another program listens.
    fn taken(self, cause: io::Error) -> RunError {
        let holder = listening::holder(self.address);
        RunError::Listen { option: self.option(), address: self.address, cause, holder }
    }

    /// Returns whether another process listens on the address, so that this one cannot.
    pub(crate) fn is_taken_from(self, process: u32) -> bool {
        let owned = self.owned(process);
        owned.contains(&Some(false)) && !owned.contains(&Some(true))
    }

    /// Returns whether this process listens on the address.
    pub(crate) fn is_held_by(self, process: u32) -> bool {
        self.owned(process).contains(&Some(true))
    }

    fn owned(self, process: u32) -> Vec<Option<bool>> {
        listening::sockets(self.address).into_iter().map(|socket| socket.is_of(process)).collect()
    }
}

impl Listening {
    /// Reserves the addresses.
    pub(crate) fn reserve(explicit: SocketAddr, transparent: &[SocketAddr]) -> Result<Self, RunError> {
        assert_apart(
            &doors(std::iter::once(explicit).chain(transparent.iter().copied())).collect::<Vec<_>>(),
        )?;
        let doors = doors(std::iter::once(explicit).chain(transparent.iter().copied()));
        let reserve = |door: Door| ReservedAddress::new(door.address).map_err(|cause| door.taken(cause));
        let reserved = doors.map(reserve).collect::<Result<_, _>>()?;
        Ok(Self { reserved: Arc::new(ReservedAddresses::new(reserved)), losses: AtomicU32::new(0) })
    }

    /// Returns each address with its listener.
    pub(crate) fn doors(&self) -> Vec<Door> {
        doors(self.reserved.addresses().into_iter()).collect()
    }

    /// Returns the address of the explicit proxy.
    pub(crate) fn explicit(&self) -> SocketAddr {
        self.reserved.addresses()[0]
    }

    /// Returns the addresses for redirected connections.
    pub(crate) fn transparent(&self) -> Vec<SocketAddr> {
        self.reserved.addresses().split_off(1)
    }

    /// Returns a hook that must run before Envoy receives its listeners.
    pub(crate) fn admit(&self) -> BeforeListeners {
        let reserved = Arc::clone(&self.reserved);
        BeforeListeners::new(move || {
            // On failure, Envoy cannot listen either, and reports it.
            if let Err(error) = reserved.admit() {
                tracing::error!(%error, "the reserved ports are not handed to envoy");
            }
        })
    }

    /// Keeps every other program from the addresses, even if Envoy dies. It must be called once Envoy listens on all of
    /// them.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.reserved.close()
    }

    /// Handles an address on which another program was the first to listen: reserves another port, if any port is
    /// acceptable.
    ///
    /// # Errors
    /// When the operator chose the port, or too many ports are lost.
    pub(crate) fn lost(&self, door: Door) -> Result<(), RunError> {
        let losses = self.losses.fetch_add(1, Ordering::Relaxed);
        if losses < MOST_LOSSES && self.reserved.replace(door.address).map_err(|cause| door.taken(cause))? {
            tracing::info!(address = %door.address, "another program took the port; taking another one");
            Ok(())
        } else {
            Err(door.taken(io::Error::from(io::ErrorKind::AddrInUse)))
        }
    }
}

/// Checks that no address occurs twice, nor beside one that includes it. Port 0 is another port each time.
fn assert_apart(doors: &[Door]) -> Result<(), RunError> {
    let name = |door: &Door| format!("{} {}", door.option(), door.address);
    for (index, second) in doors.iter().enumerate().filter(|(_, door)| door.address.port() != 0) {
        let first = doors[..index].iter().find(|first| listening::takes(first.address, second.address));
        if let Some(first) = first {
            return Err(RunError::OneAddress { first: name(first), second: name(second) });
        }
    }
    Ok(())
}

fn doors(addresses: impl Iterator<Item = SocketAddr>) -> impl Iterator<Item = Door> {
    addresses.enumerate().map(|(index, address)| {
        let listener = if index == 0 { names::EXPLICIT_LISTENER } else { names::TRANSPARENT_LISTENER };
        Door { listener, address }
    })
}
