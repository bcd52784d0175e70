//! An HTTP/2 client (RFC 9113) that writes any number of streams at once.

use anyhow::{Context, Result, ensure};

use crate::Wire;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const CANCEL: u32 = 8;
/// The increment from the initial window of a connection to the largest possible one.
const LARGEST_WINDOW: u32 = 0x7fff_ffff - 0xffff;

/// A connection whose requests are all GETs of one URL.
#[derive(Debug)]
pub struct ManyStreams {
    wire: Wire,
    scheme: &'static str,
    authority: String,
    path: String,
    next: u32,
}

impl ManyStreams {
    /// Sends the preface. The peer may send `window` bytes of each response in advance.
    pub fn open(
        mut wire: Wire,
        window: u32,
        scheme: &'static str,
        authority: &str,
        path: &str,
    ) -> Result<Self> {
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let frames = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, 0, &setting)?,
            frame(WINDOW_UPDATE, 0, 0, &LARGEST_WINDOW.to_be_bytes())?,
        ];
        wire.write(frames.concat())?;
        Ok(Self { wire, scheme, authority: authority.to_owned(), path: path.to_owned(), next: 1 })
    }

    /// Sends `count` requests in one write.
    pub fn request(&mut self, count: usize) -> Result<()> {
        let frames = self.frames(count, false)?;
        self.wire.write(frames)
    }

    /// Sends `count` requests in one write, and resets each (RST_STREAM) at once. Returns false if the peer closed
    /// the connection before everything was written.
    pub fn request_and_take_back(&mut self, count: usize) -> Result<bool> {
        let frames = self.frames(count, true)?;
        Ok(self.wire.write(frames).is_ok())
    }

    /// Reads until `count` responses have ended. An earlier end of the connection is an error.
    pub fn wait_answers(&mut self, count: usize) -> Result<()> {
        let mut ended = 0;
        while ended < count {
            let head = self.wire.read(9)?;
            let [a, b, c, kind, flags, ..] = *head.as_slice() else { unreachable!("nine bytes were read") };
            self.wire.read(u32::from_be_bytes([0, a, b, c]) as usize)?;
            ensure!(kind != GOAWAY, "the connection is ended after {ended} answers");
            ended += usize::from((kind == DATA || kind == HEADERS) && flags & END_STREAM != 0);
        }
        Ok(())
    }

    fn frames(&mut self, count: usize, take_back: bool) -> Result<Vec<u8>> {
        let mut frames = Vec::new();
        for _ in 0..count {
            let block = self.header_block()?;
            frames.extend(frame(HEADERS, END_STREAM | END_HEADERS, self.next, &block)?);
            if take_back {
                frames.extend(frame(RST_STREAM, 0, self.next, &CANCEL.to_be_bytes())?);
            }
            self.next += 2;
        }
        Ok(frames)
    }

    /// Encodes a header block (RFC 7541). The first block puts authority and path into the dynamic table; later ones
    /// take six bytes.
    fn header_block(&self) -> Result<Vec<u8>> {
        let scheme = match self.scheme {
            "http" => 0x86,
            "https" => 0x87,
            other => anyhow::bail!("`{other}` is no scheme of the static table"),
        };
        let mut block = vec![0x82, scheme];
        if self.next == 1 {
            for (name, value) in [(0x41, &self.authority), (0x44, &self.path)] {
                let length = u8::try_from(value.len()).ok().filter(|length| *length < 127);
                block.extend([name, length.context("a long value")?]);
                block.extend(value.as_bytes());
            }
        } else {
            // The newest entry of the dynamic table has the index 62.
            block.extend([0x80 | 63, 0x80 | 62]);
        }
        Ok(block)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Result<Vec<u8>> {
    let [_, a, b, c] = u32::try_from(content.len())?.to_be_bytes();
    Ok([&[a, b, c, kind, flags], &stream.to_be_bytes()[..], content].concat())
}
