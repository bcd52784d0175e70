//! Connections with an authenticated identity. A second transport accepts connections in its own way, and gives each an
//! identity; the services above see the identity alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use super::identity::NodeIdentity;

/// A connection whose peer is known.
#[derive(Debug)]
pub(crate) struct IdentifiedConnection<IO> {
    io: IO,
    identity: NodeIdentity,
}

/// Accepts the connections of a Unix socket, and refuses every peer that [`serves`] excludes. The mode of the socket's
/// file excludes other users already; this check holds even where another program has changed the mode.
pub(crate) fn unix_connections(
    socket: UnixListener,
) -> impl Stream<Item = io::Result<IdentifiedConnection<UnixStream>>> {
    let own = rustix::process::geteuid().as_raw();
    // A peer that tries again and again makes one line.
    let mut refused = None;
    UnixListenerStream::new(socket).filter_map(move |accepted| {
        let io = match accepted {
            Ok(io) => io,
            Err(error) => return Some(Err(error)),
        };
        let identity = match io.peer_cred() {
            Ok(peer) => NodeIdentity::from_unix_peer(&peer),
            Err(error) => {
                tracing::warn!(%error, "refused a connection whose peer is unknown");
                return None;
            }
        };
        if serves(own, &identity) {
            return Some(Ok(IdentifiedConnection { io, identity }));
        }
        let NodeIdentity::LocalProcess { user, process: _ } = identity;
        if refused.replace(user) != Some(user) {
            tracing::warn!(user, "refused a connection of another user");
        }
        None
    })
}

/// Whether a control plane of the user `own` serves this peer: a process of the same user, or of root.
pub(crate) fn serves(own: u32, peer: &NodeIdentity) -> bool {
    let NodeIdentity::LocalProcess { user, process: _ } = peer;
    [own, 0].contains(user)
}

impl<IO> Connected for IdentifiedConnection<IO> {
    type ConnectInfo = NodeIdentity;

    fn connect_info(&self) -> NodeIdentity {
        self.identity.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for IdentifiedConnection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for IdentifiedConnection<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_our_own_user_and_of_root_are_served() {
        let of = |user| NodeIdentity::LocalProcess { user, process: Some(1) };
        assert!(serves(1000, &of(1000)));
        assert!(serves(1000, &of(0)));
        assert!(serves(0, &of(0)));
        assert!(!serves(1000, &of(1001)));
        assert!(!serves(0, &of(1000)));
    }

    #[tokio::test]
    async fn a_connection_has_the_identity_of_the_process_that_opened_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut connections = Box::pin(unix_connections(UnixListener::bind(&path).unwrap()));
        let _client = UnixStream::connect(&path).await.unwrap();
        let connection = connections.next().await.unwrap().unwrap();
        assert_eq!(connection.connect_info(), super::super::identity::tests::node(std::process::id()));
    }
}
