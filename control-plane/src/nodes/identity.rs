//! The authenticated identity of a node.
//!
//! The transport establishes the identity when it accepts a connection, and every request of that connection carries it.
//! Policy, leaves, decisions, hosts in use and status belong to an identity. The node's description of itself (`node.id`,
//! its version, its metadata) is unverified: it chooses the form of that node's own resources, and labels it for people.

use std::fmt;

use tokio::net::unix::UCred;
use tonic::{Request, Status};

/// The identity of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeIdentity {
    /// A process of this machine, connected to a Unix socket. The kernel vouches for user and process.
    ///
    /// The user is the boundary: the processes of one user can read and steer each other, so a peer is served by its
    /// user ([`serves`](super::transport::serves)). The process tells the Envoys of one user apart, and joins the
    /// connections of one Envoy, which opens one for each of its threads. The kernel gives a process number to another
    /// process only after the first has ended, and its connections with it.
    LocalProcess {
        /// The effective user.
        user: u32,
        /// The process; `None` if it runs where this process cannot see it (another PID namespace).
        process: Option<u32>,
    },
}

impl NodeIdentity {
    /// The identity of the peer of a Unix socket.
    pub fn from_unix_peer(peer: &UCred) -> Self {
        let process = peer.pid().and_then(|process| u32::try_from(process).ok());
        // No process has the number 0: the kernel writes it for one that is out of sight.
        Self::LocalProcess { user: peer.uid(), process: process.filter(|process| *process != 0) }
    }

    /// The process, if it is one of this machine and in sight.
    pub(crate) fn process(&self) -> Option<u32> {
        match self {
            Self::LocalProcess { user: _, process } => *process,
        }
    }

    /// The identity that the transport gave to the connection of a request.
    ///
    /// # Errors
    /// When the connection has none. A node without an identity is not served.
    pub fn from_request<T>(request: &Request<T>) -> Result<Self, Status> {
        let identity = request.extensions().get::<Self>();
        identity.cloned().ok_or_else(|| Status::unauthenticated("the connection has no identity"))
    }
}

impl fmt::Display for NodeIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalProcess { user, process: Some(process) } => {
                write!(formatter, "process {process} of user {user}")
            }
            Self::LocalProcess { user, process: None } => write!(formatter, "a process of user {user}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The identity of a process of our own user.
    pub(crate) fn node(process: u32) -> NodeIdentity {
        NodeIdentity::LocalProcess { user: rustix::process::geteuid().as_raw(), process: Some(process) }
    }

    #[test]
    fn a_request_without_an_identity_is_refused() {
        let mut request = Request::new(());
        let refused = NodeIdentity::from_request(&request).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        request.extensions_mut().insert(node(7));
        assert_eq!(NodeIdentity::from_request(&request).unwrap(), node(7));
    }
}
