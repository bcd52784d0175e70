//! The lines that a child writes. A thread collects them, so that no pipe ever fills up.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Result, bail};

use crate::Deadline;

/// All lines read so far from one stream. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Collected>, Condvar)>,
}

#[derive(Debug, Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `source` to its end in a thread. Bytes that are not UTF-8 become U+FFFD.
    pub fn read_from(source: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line);
                writer.lock().lines.push(text.trim_end_matches(['\r', '\n']).to_owned());
                writer.shared.1.notify_all();
                line.clear();
            }
            writer.lock().ended = true;
            writer.shared.1.notify_all();
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// All lines so far, as one text.
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// All lines as one text, once the stream has ended.
    pub fn whole(&self, deadline: Deadline) -> Result<String> {
        deadline.poll("end of the output", || {
            let collected = self.lock();
            Ok(collected.ended.then(|| collected.lines.join("\n")))
        })
    }

    /// Waits until `probe` finds something in the lines so far. Fails at once when the stream ends.
    pub fn wait<T>(
        &self,
        deadline: Deadline,
        what: &str,
        mut probe: impl FnMut(&[String]) -> Option<T>,
    ) -> Result<T> {
        let mut collected = self.lock();
        loop {
            if let Some(found) = probe(&collected.lines) {
                return Ok(found);
            }
            let left = deadline.remaining();
            if collected.ended || left.is_zero() {
                let why = if collected.ended { "the output ended" } else { "the deadline passed" };
                bail!("{what}: {why}; the output so far:\n{}", collected.lines.join("\n"));
            }
            collected = self.shared.1.wait_timeout(collected, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
