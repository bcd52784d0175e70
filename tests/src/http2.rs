//! An HTTP/2 client (RFC 9113) with one stream, in which the test controls the timing of every frame.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::Wire;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CONNECTION: u8 = 0;
const STREAM: u8 = 1;

/// An HTTP/2 connection.
#[derive(Debug)]
pub struct Http2 {
    wire: Wire,
    ended: bool,
    kinds: BTreeSet<u8>,
}

struct Frame {
    kind: u8,
    content: Vec<u8>,
}

impl Http2 {
    /// Sends the preface over a connection that negotiated h2.
    pub fn open(mut wire: Wire) -> Result<Self> {
        wire.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut http2 = Self { wire, ended: false, kinds: BTreeSet::new() };
        http2.send(SETTINGS, 0, CONNECTION, &[])?;
        Ok(http2)
    }

    /// Reads the server's first SETTINGS frame: identifiers and values.
    pub fn settings(&mut self) -> Result<Vec<(u16, u32)>> {
        let frame = self.receive()?;
        ensure!(frame.kind == SETTINGS, "the first frame is of kind {}", frame.kind);
        let setting = |bytes: &[u8]| match *bytes {
            [a, b, c, d, e, f] => Some((u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))),
            _ => None,
        };
        Ok(frame.content.chunks(6).filter_map(setting).collect())
    }

    /// Begins a request with these header fields.
    pub fn begin(&mut self, fields: &[(&str, &[u8])]) -> Result<()> {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal field that is neither indexed nor compressed (RFC 7541, 6.2.2).
            block.push(0);
            for text in [name.as_bytes(), value] {
                // An integer with a prefix of seven bits (5.1); all texts here fit into it.
                block.push(u8::try_from(text.len())?);
                block.extend(text);
            }
        }
        self.send(HEADERS, END_HEADERS, STREAM, &block)
    }

    /// Begins a POST.
    pub fn post(&mut self, authority: &str, path: &str) -> Result<()> {
        self.begin(&[
            (":method", b"POST"),
            (":scheme", b"https"),
            (":authority", authority.as_bytes()),
            (":path", path.as_bytes()),
            ("content-type", b"application/grpc"),
            ("te", b"trailers"),
        ])
    }

    /// Sends content.
    pub fn write(&mut self, content: &[u8]) -> Result<()> {
        self.send(DATA, 0, STREAM, content)
    }

    /// The types of the frames received so far.
    pub fn kinds(&self) -> &BTreeSet<u8> {
        &self.kinds
    }

    /// Ends the request.
    pub fn end(&mut self) -> Result<()> {
        self.send(DATA, END_STREAM, STREAM, &[])
    }

    /// Reads this many bytes of the response's content.
    pub fn read(&mut self, count: usize) -> Result<Vec<u8>> {
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

    /// Reads all content of the response, to its end or the connection's.
    pub fn read_content(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        while !self.ended {
            let Ok(frame) = self.receive() else { break };
            if frame.kind == DATA {
                content.extend(frame.content);
            }
        }
        content
    }

    /// Reads to the end of the response, without more content. Returns true if trailers ended it.
    pub fn read_end(&mut self) -> Result<bool> {
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
        self.kinds.insert(kind);
        if kind == SETTINGS && flags & ACK == 0 {
            self.send(SETTINGS, ACK, CONNECTION, &[])?;
        }
        self.ended |= (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0;
        Ok(Frame { kind, content })
    }
}
