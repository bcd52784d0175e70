//! The addresses that a run listens on. They are its own from the start to the end: see [`crate::address::reserved`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::RunError;
use crate::address::reserved::{ReservedAddress, ReservedAddresses};
use crate::envoy::resources::names;
use crate::nodes::server::BeforeListeners;
use crate::process::listening;

/// Ports that are given up before a run is. Who takes so many waits for each.
const MOST_LOSSES: u32 = 8;

/// The explicit proxy's address, then those for redirected connections.
#[derive(Debug)]
pub(crate) struct Listening {
    reserved: Arc<ReservedAddresses>,
    losses: AtomicU32,
}

/// One address, and the listener of Envoy's that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) listener: &'static str,
    pub(crate) address: SocketAddr,
}

impl Door {
    fn option(self) -> &'static str {
        if self.listener == names::EXPLICIT_LISTENER { "--listen" } else { "--transparent" }
    }

    /// The error that somebody else listens there.
    fn taken(self, cause: io::Error) -> RunError {
        let holder = listening::holder(self.address);
        RunError::Listen { option: self.option(), address: self.address, cause, holder }
    }

    /// Whether a process other than this one listens there, so that this one cannot.
    pub(crate) fn is_taken_from(self, process: u32) -> bool {
        let owned = self.owned(process);
        owned.contains(&Some(false)) && !owned.contains(&Some(true))
    }

    /// Whether this process listens there.
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
        let doors = doors(std::iter::once(explicit).chain(transparent.iter().copied()));
        let reserve = |door: Door| ReservedAddress::new(door.address).map_err(|cause| door.taken(cause));
        let reserved = doors.map(reserve).collect::<Result<_, _>>()?;
        Ok(Self { reserved: Arc::new(ReservedAddresses::new(reserved)), losses: AtomicU32::new(0) })
    }

    /// Each address with its listener.
    pub(crate) fn doors(&self) -> Vec<Door> {
        doors(self.reserved.addresses().into_iter()).collect()
    }

    /// Where the explicit proxy listens.
    pub(crate) fn explicit(&self) -> SocketAddr {
        self.reserved.addresses()[0]
    }

    /// Where redirected connections are taken.
    pub(crate) fn transparent(&self) -> Vec<SocketAddr> {
        self.reserved.addresses().split_off(1)
    }

    /// To be called before Envoy is told to listen.
    pub(crate) fn admit(&self) -> BeforeListeners {
        let reserved = Arc::clone(&self.reserved);
        BeforeListeners::new(move || {
            // Envoy will say what it could not do.
            if let Err(error) = reserved.admit() {
                tracing::error!(%error, "the reserved ports are not handed to envoy");
            }
        })
    }

    /// Keeps every other program from the addresses, also should Envoy die. To be called when Envoy listens on all of them.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.reserved.close()
    }

    /// Somebody else was the first to listen. Takes another port where any will do.
    ///
    /// # Errors
    /// The port was named, or every port is lost.
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

fn doors(addresses: impl Iterator<Item = SocketAddr>) -> impl Iterator<Item = Door> {
    addresses.enumerate().map(|(index, address)| {
        let listener = if index == 0 { names::EXPLICIT_LISTENER } else { names::TRANSPARENT_LISTENER };
        Door { listener, address }
    })
}
