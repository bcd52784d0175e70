//! When Envoy is ready: it has accepted everything, and the filter answers.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::RunError;
use crate::capabilities::UpstreamTlsChoice;
use crate::control_plane::ControlPlane;

const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// Waits for Envoy. Returns the name that was asked for to see who answers: its decisions are not the user's.
pub(super) async fn wait(
    control_plane: &ControlPlane,
    listen: SocketAddr,
    choice: UpstreamTlsChoice,
) -> anyhow::Result<String> {
    let mut nodes = control_plane.nodes().subscribe();
    loop {
        if let Some((kind, text)) = nodes.borrow_and_update().values().find_map(|node| {
            let (kind, text) = node.stream.rejections().next()?;
            Some((kind.as_str(), text.to_owned()))
        }) {
            return Err(RunError::Rejected { kind, text }.into());
        }
        if let Some(refused) =
            nodes.borrow().values().find_map(|node| choice.strategy(node.version, node.protocol).err())
        {
            return Err(RunError::Strategy(refused).into());
        }
        if nodes.borrow().values().any(|node| node.stream.is_ready()) {
            break;
        }
        nodes.changed().await?;
    }
    // An accepted filter is handed to the workers a moment later, and denies everything until then.
    let host = probe_host();
    while !filter_answers(listen, &host).await.unwrap_or(false) {
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
    Ok(host)
}

/// A name that no policy allows (RFC 6761, 6.4) and no client guesses.
fn probe_host() -> String {
    let random = RandomState::new().hash_one(0);
    format!("readiness-{random:016x}.weir.invalid")
}

async fn filter_answers(listen: SocketAddr, host: &str) -> io::Result<bool> {
    let mut connection = TcpStream::connect(loopback(listen)).await?;
    let request = format!("GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let head = read_head(&mut connection).await?;
    Ok(head.contains("x-weir-decision: ") && !head.contains("x-weir-decision: policy_missing"))
}

/// Reads up to the end of the headers, not of the connection: Envoy leaves that open for another second.
async fn read_head(connection: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut part).await? {
            0 => break,
            count => head.extend_from_slice(&part[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Where a listener on all addresses can be reached from here.
fn loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
