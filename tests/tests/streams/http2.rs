//! A client of HTTP/2 (RFC 9113) with one stream, whose frames the test times itself.

use anyhow::{Result, ensure};
use e2e::Wire;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CONNECTION: u8 = 0;
const STREAM: u8 = 1;

/// A connection.
pub(super) struct Http2 {
    wire: Wire,
    ended: bool,
}

struct Frame {
    kind: u8,
    content: Vec<u8>,
}

impl Http2 {
    /// Greets over a connection that agreed on h2.
    pub(super) fn open(mut wire: Wire) -> Result<Self> {
        wire.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut http2 = Self { wire, ended: false };
        http2.send(SETTINGS, 0, CONNECTION, &[])?;
        Ok(http2)
    }

    /// What the server says of itself first: numbers and values.
    pub(super) fn settings(&mut self) -> Result<Vec<(u16, u32)>> {
        let frame = self.receive()?;
        ensure!(frame.kind == SETTINGS, "the first frame is of kind {}", frame.kind);
        let setting = |bytes: &[u8]| match *bytes {
            [a, b, c, d, e, f] => Some((u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))),
            _ => None,
        };
        Ok(frame.content.chunks(6).filter_map(setting).collect())
    }

    /// Begins a POST.
    pub(super) fn post(&mut self, authority: &str, path: &str) -> Result<()> {
        let mut block = Vec::new();
        let fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        for (name, value) in fields {
            // A literal, not for the table, not compressed (RFC 7541, 6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len())?);
                block.extend(text.bytes());
            }
        }
        self.send(HEADERS, END_HEADERS, STREAM, &block)
    }

    /// Sends content.
    pub(super) fn write(&mut self, content: &[u8]) -> Result<()> {
        self.send(DATA, 0, STREAM, content)
    }

    /// Ends the request.
    pub(super) fn end(&mut self) -> Result<()> {
        self.send(DATA, END_STREAM, STREAM, &[])
    }

    /// Reads so much of the answer's content.
    pub(super) fn read(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        while content.len() < count {
            let frame = self.receive()?;
            ensure!(!self.ended, "the answer ended after {content:?}");
            if frame.kind == DATA {
                content.extend(frame.content);
            }
        }
        Ok(content)
    }

    /// Reads to the end of the answer, without more content. True if trailers ended it.
    pub(super) fn read_end(&mut self) -> Result<bool> {
        loop {
            let frame = self.receive()?;
            ensure!(frame.kind != DATA || frame.content.is_empty(), "more content: {:?}", frame.content);
            if self.ended {
                return Ok(frame.kind == HEADERS);
            }
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u8, content: &[u8]) -> Result<()> {
        let [_, a, b, c] = u32::try_from(content.len())?.to_be_bytes();
        self.wire.write([&[a, b, c, kind, flags, 0, 0, 0, stream], content].concat())
    }

    fn receive(&mut self) -> Result<Frame> {
        let head = self.wire.read(9)?;
        let [a, b, c, kind, flags, ..] = *head.as_slice() else { unreachable!("nine bytes were read") };
        let content = self.wire.read(u32::from_be_bytes([0, a, b, c]) as usize)?;
        if kind == SETTINGS && flags & ACK == 0 {
            self.send(SETTINGS, ACK, CONNECTION, &[])?;
        }
        self.ended |= (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0;
        Ok(Frame { kind, content })
    }
}
