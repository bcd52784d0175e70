//! Envoy's admin interface on its Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The maximum wait for an answer. Envoy's main thread gives it, and a new configuration keeps that thread busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The maximum size of an answer in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

/// The address of an Envoy's admin interface.
#[derive(Debug, Clone)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    /// Uses the interface on this socket.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Returns the counters and gauges whose names contain one of these texts, with their values.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub async fn statistics(&self, names: &[&str]) -> io::Result<Vec<(String, u64)>> {
        // `|` separates the expressions. They contain only letters, digits, `_` and `.`.
        let path = format!("/stats?filter={}", names.join("%7C"));
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.get(&path)).await??;
        let lines = answer.lines().filter_map(|line| line.split_once(": "));
        Ok(lines.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect())
    }

    async fn get(&self, path: &str) -> io::Result<String> {
        let mut connection = UnixStream::connect(&self.socket).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        connection.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        content(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer of Envoy's"))
    }
}

/// Returns the content of an answer with status 200, which Envoy sends in chunks (RFC 9112, 7.1).
fn content(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let (head, mut rest) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    if !lines.next()?.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    if !lines.any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked")) {
        return Some(rest.to_owned());
    }
    let mut content = String::new();
    loop {
        let (length, chunks) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(content);
        }
        content.push_str(chunks.get(..length)?);
        rest = chunks.get(length..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_however_it_is_sent() {
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\na: 1\n\r\n3\r\nb: \r\n2\r\n2\n\r\n0\r\n\r\n";
        assert_eq!(content(chunked).as_deref(), Some("a: 1\nb: 2\n"));
        let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\na: 1\n";
        assert_eq!(content(plain).as_deref(), Some("a: 1\n"));
        for faulty in [
            b"".as_slice(),
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\na",
        ] {
            assert_eq!(content(faulty), None);
        }
    }
}
