//! A client that sends many HTTP/2 requests (RFC 9113) on one connection, in as few writes as possible.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::{Deadline, Wire};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The frame size in bytes that every peer accepts.
const FRAME: usize = 16_384;
const CANCEL: u32 = 8;

/// The client's action after a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then<'a> {
    /// Resets the stream at once.
    Reset,
    /// Sends this content and ends the stream.
    End(&'a [u8]),
    /// Sends this content and leaves the stream open.
    Open(&'a [u8]),
}

/// A connection, and the requests that are not written yet.
#[derive(Debug)]
pub struct Burst {
    wire: Wire,
    stream: TcpStream,
    unwritten: Vec<u8>,
    next: u32,
    ended: Arc<Mutex<Vec<u32>>>,
}

impl Burst {
    /// Sends the preface to the proxy. A thread reads the responses.
    pub fn open(proxy: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(proxy)?;
        let ended = Arc::default();
        let (reader, seen) = (stream.try_clone()?, Arc::clone(&ended));
        // The thread ends with the connection.
        thread::spawn(move || read(reader, &seen));
        let mut burst =
            Self { wire: Wire::new(stream.try_clone()?)?, stream, unwritten: Vec::new(), next: 1, ended };
        burst.unwritten.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        burst.frame(SETTINGS, 0, 0, &[]);
        burst.frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
        Ok(burst)
    }

    /// Adds a request for plain HTTP, and returns its stream number.
    pub fn add(
        &mut self,
        method: &str,
        authority: &str,
        path: &str,
        user_agent: &str,
        then: Then<'_>,
    ) -> u32 {
        let number = self.next;
        self.next += 2;
        let mut block = Vec::new();
        for (name, value) in [
            (":method", method),
            (":scheme", "http"),
            (":authority", authority),
            (":path", path),
            ("user-agent", user_agent),
        ] {
            // A literal field that is neither indexed nor compressed (RFC 7541, 6.2.2).
            block.push(0);
            text(&mut block, name);
            text(&mut block, value);
        }
        let mut parts = block.chunks(FRAME).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
            self.frame(kind, flags, number, part);
            kind = CONTINUATION;
        }
        match then {
            Then::Reset => self.frame(RST_STREAM, 0, number, &CANCEL.to_be_bytes()),
            Then::End(content) => self.frame(DATA, END_STREAM, number, content),
            Then::Open(content) => self.frame(DATA, 0, number, content),
        }
        number
    }

    /// Writes all added requests. Fails if the proxy has closed the connection.
    pub fn write(&mut self) -> Result<()> {
        self.wire.write(std::mem::take(&mut self.unwritten))
    }

    /// Waits until these streams have ended.
    pub fn wait_ended(&self, streams: &[u32]) -> Result<()> {
        Deadline::seconds(60).poll("the end of all streams", || {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(streams.iter().all(|stream| ended.contains(stream)).then_some(()))
        })
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) {
        let [_, a, b, c] = u32::try_from(content.len()).expect("a short frame").to_be_bytes();
        self.unwritten.extend([a, b, c, kind, flags]);
        self.unwritten.extend(stream.to_be_bytes());
        self.unwritten.extend(content);
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        // The reader ends with the connection. An error means that the connection has already ended.
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

/// Encodes a string literal (RFC 7541, 5.2), with its length as an integer with a prefix of seven bits (5.1).
fn text(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap_or(0));
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(u8::try_from(length % 128).unwrap_or(0) | 128);
            length /= 128;
        }
        block.push(u8::try_from(length).unwrap_or(0));
    }
    block.extend(text.as_bytes());
}

/// Records the streams that end, until the connection does.
fn read(mut stream: TcpStream, ended: &Mutex<Vec<u32>>) {
    let mut next = || -> Result<()> {
        let mut head = [0; 9];
        stream.read_exact(&mut head).context("the connection ended")?;
        let [a, b, c, kind, flags, number @ ..] = head;
        let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut content)?;
        if kind == RST_STREAM || (matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0) {
            ended.lock().unwrap_or_else(PoisonError::into_inner).push(u32::from_be_bytes(number));
        }
        Ok(())
    };
    while next().is_ok() {}
}
