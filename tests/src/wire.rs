//! One TCP connection that is read and written as HTTP/1.1 bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// The time limit of one read or write.
const LIMIT: Duration = Duration::from_secs(20);

/// One end of a connection.
#[derive(Debug)]
pub struct Wire {
    reader: BufReader<TcpStream>,
    ended: bool,
}

/// The first line and the header lines of a message. Each character is one byte, so bytes that are not UTF-8 survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// The header lines as received.
    pub lines: Vec<String>,
}

impl Head {
    /// The first value of a header. The given name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The header lines in alphabetical order, names in lower case; lines of one name keep their order.
    pub fn sorted(&self) -> Vec<String> {
        let mut lines: Vec<(String, &str)> = self
            .lines
            .iter()
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches(' ')))
            .collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }
}

impl Wire {
    /// Connects to an address.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::new(TcpStream::connect(address)?)
    }

    /// Takes over a connection.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::with_capacity(1 << 16, stream), ended: false })
    }

    /// Another handle of this connection, to write while this one reads.
    pub fn try_clone(&self) -> Result<Self> {
        Self::new(self.reader.get_ref().try_clone()?)
    }

    /// Writes all bytes.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref()).context("cannot write to the connection")
    }

    /// Shuts down the connection for writing.
    pub fn end(&mut self) -> Result<()> {
        self.ended = true;
        self.reader.get_ref().shutdown(Shutdown::Write).context("cannot end the connection")
    }

    /// Returns whether this end was shut down for writing.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Reads exactly this many bytes.
    pub fn read(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).with_context(|| format!("cannot read {count} bytes"))?;
        Ok(bytes)
    }

    /// Reads until the peer closes the connection.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).context("the connection did not end")?;
        Ok(bytes)
    }

    /// Waits without a time limit until there are bytes to read. Returns whether the peer sent any before it closed.
    pub fn wait_readable(&mut self) -> Result<bool> {
        self.reader.get_ref().set_read_timeout(None)?;
        let readable = !self.reader.fill_buf()?.is_empty();
        self.reader.get_ref().set_read_timeout(Some(LIMIT))?;
        Ok(readable)
    }

    /// Reads a head. Returns `None` if the connection ends before it.
    pub fn read_head(&mut self) -> Result<Option<Head>> {
        let Some(start) = self.read_line()? else { return Ok(None) };
        Ok(Some(Head { start, lines: self.read_lines()? }))
    }

    /// Reads a head. The connection's end is an error.
    pub fn expect_head(&mut self) -> Result<Head> {
        self.read_head()?.context("the connection ended before a head")
    }

    /// Reads the content that `head` announces, piece by piece, and returns the trailer lines.
    pub fn read_content(&mut self, head: &Head, mut piece: impl FnMut(&[u8])) -> Result<Vec<String>> {
        if let Some(length) = head.header("content-length") {
            self.read_pieces(length.parse()?, &mut piece)?;
            return Ok(Vec::new());
        }
        if head.header("transfer-encoding") != Some("chunked") {
            return Ok(Vec::new());
        }
        loop {
            let line = self.read_line()?.context("the content ended early")?;
            let length = u64::from_str_radix(line.trim(), 16).with_context(|| format!("chunk `{line}`"))?;
            if length == 0 {
                return self.read_lines();
            }
            self.read_pieces(length, &mut piece)?;
            ensure!(self.read_line()?.as_deref() == Some(""), "a chunk without its end");
        }
    }

    fn read_pieces(&mut self, length: u64, piece: &mut impl FnMut(&[u8])) -> Result<()> {
        let mut left = usize::try_from(length)?;
        while left > 0 {
            let bytes = self.reader.fill_buf().context("cannot read the content")?;
            let count = bytes.len().min(left);
            ensure!(count > 0, "the content ended {left} bytes early");
            piece(bytes.get(..count).unwrap_or_default());
            self.reader.consume(count);
            left -= count;
        }
        Ok(())
    }

    /// Reads lines to the empty one.
    fn read_lines(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            match self.read_line()? {
                None => bail!("the connection ended after {lines:?}"),
                Some(line) if line.is_empty() => return Ok(lines),
                Some(line) => lines.push(line),
            }
        }
    }

    /// Reads a line without its end. Returns `None` if the connection has ended.
    fn read_line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).context("cannot read a line")?;
        let Some(line) = line.strip_suffix(b"\n") else {
            ensure!(line.is_empty(), "the connection ended within a line");
            return Ok(None);
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some(line.iter().copied().map(char::from).collect()))
    }
}
