//! When Envoy is ready: it has accepted everything, and the filter answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::RunError;
use crate::control_plane::ControlPlane;

/// A name that no policy can allow (RFC 6761, 6.4), asked for to see who answers.
pub(super) const PROBE_HOST: &str = "readiness.weir.invalid";

const PROBE_INTERVAL: Duration = Duration::from_millis(5);

pub(super) async fn wait(control_plane: &ControlPlane, listen: SocketAddr) -> anyhow::Result<()> {
    let mut nodes = control_plane.nodes().subscribe();
    loop {
        if let Some((kind, text)) = nodes.borrow_and_update().values().find_map(|node| {
            let (kind, text) = node.rejections().next()?;
            Some((kind.as_str(), text.to_owned()))
        }) {
            return Err(RunError::Rejected { kind, text }.into());
        }
        if nodes.borrow().values().any(crate::xds::node_status::NodeStatus::is_ready) {
            break;
        }
        nodes.changed().await?;
    }
    // An accepted filter is handed to the workers a moment later, and denies everything until then.
    while !filter_answers(listen).await.unwrap_or(false) {
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
    Ok(())
}

async fn filter_answers(listen: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(loopback(listen)).await?;
    let request =
        format!("GET http://{PROBE_HOST}/ HTTP/1.1\r\nhost: {PROBE_HOST}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    Ok(response.contains("x-weir-decision: ") && !response.contains("x-weir-decision: policy_missing"))
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
