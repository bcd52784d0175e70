//! A server that answers one request of each connection.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use anyhow::Result;

use crate::{Head, Wire};

/// Listens on this address until the test ends, and answers the first request of each connection with [`answer_yes`].
/// Returns the address with the port.
pub fn answer_once(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answered = Wire::new(stream).and_then(|mut wire| {
                let head = wire.expect_head()?;
                answer_yes(&head, &mut wire)
            });
            // The client may go away at any time. Its side of the test says whether that is right.
            answered.ok();
        }
    });
    Ok(address)
}

/// Answers with 200 and the content `yes`, and ends the connection.
pub fn answer_yes(_: &Head, wire: &mut Wire) -> Result<()> {
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nyes")?;
    wire.end()
}
