//! Standard output and standard error, written without blocking.
//!
//! The reader of a stream can block a write to it: a pipe that nobody reads, a stopped terminal, a FIFO. The command
//! and other processes share the descriptors, so the descriptors stay in blocking mode (`O_NONBLOCK` would apply to
//! them as well). Instead, each stream has a bounded queue and a thread that may block. Lines that do not fit into the
//! queue are dropped and counted, and their number is written when the stream accepts a line again.
//!
//! The file of `--decisions` is such a stream as well: a slow disk delays no decision.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, tcgetattr};

/// The maximum size of a stream's queue: some thousand decisions, or the longest report of a policy's faults.
const QUEUE_BYTES: usize = 1 << 20;
/// The maximum time for which the end of the program waits for the streams.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often stderr is looked at while a full-screen program has the terminal.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

static DECISIONS: OnceLock<OutputStream> = OnceLock::new();
static STDOUT: OnceLock<OutputStream> = OnceLock::new();
static STDERR: OnceLock<OutputStream> = OnceLock::new();

/// Returns the queue for standard output.
pub fn stdout() -> &'static OutputStream {
    STDOUT.get_or_init(|| OutputStream::new("stdout", Report::Text("# "), io::stdout()))
}

/// Returns the queue for standard output, where every line is JSON. To be called before [`stdout`].
pub fn json_stdout() -> &'static OutputStream {
    STDOUT.get_or_init(|| OutputStream::new("stdout", Report::Json, io::stdout()))
}

/// Returns the queue for the file of `--decisions`.
pub(crate) fn decisions(file: impl Destination + Send + 'static) -> &'static OutputStream {
    DECISIONS.get_or_init(|| OutputStream::new("--decisions", Report::Json, file))
}

/// Returns the queue for standard error.
pub fn stderr() -> &'static OutputStream {
    STDERR.get_or_init(|| OutputStream::new("stderr", Report::Text("weir: "), io::stderr()))
}

/// Waits until all streams have written their queues, for a second at most.
pub fn finish() {
    let deadline = Instant::now() + LAST_WORDS;
    for stream in [&DECISIONS, &STDOUT, &STDERR].into_iter().filter_map(OnceLock::get) {
        stream.finish(deadline);
    }
}

/// The target of a stream.
pub(crate) trait Destination {
    /// Prepares for a text of so many bytes. Returns whether it goes to another file than the last text.
    fn prepare(&mut self, _bytes: usize) -> bool {
        false
    }

    /// The descriptor to write to.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

impl<T: AsFd> Destination for T {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

/// How a stream reports lines that it dropped.
#[derive(Debug, Clone, Copy)]
enum Report {
    /// A sentence after this prefix, as in Weir's own lines.
    Text(&'static str),
    /// A JSON object.
    Json,
}

impl Report {
    fn line(self, count: u64) -> String {
        match self {
            Self::Text(prefix) => {
                format!("{prefix}{count} lines were dropped here: this stream did not take them\n")
            }
            Self::Json => format!("{{\"phase\":\"dropped\",\"count\":{count}}}\n"),
        }
    }
}

/// A stream whose writes never block.
#[derive(Debug)]
pub struct OutputStream {
    name: &'static str,
    report: Report,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Whether the stream waits while a full-screen program has the terminal.
    yields: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    texts: VecDeque<Text>,
    bytes: usize,
    /// Dropped lines that are not reported yet.
    dropped: u64,
    /// Whether the thread is writing a text.
    writing: bool,
}

#[derive(Debug)]
struct Text {
    text: String,
    /// The dropped lines that the text reports. If the text is lost, they count as dropped again.
    lines: u64,
}

impl OutputStream {
    fn new(name: &'static str, report: Report, to: impl Destination + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writing = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name.to_owned());
        // If the thread cannot be started, every text is dropped. Weir runs on.
        let _ = thread.spawn(move || write_texts(name, &writing, report, to));
        Self { name, report, shared }
    }

    /// Sets whether texts wait while a full-screen program has the terminal of stderr. The last words wait for nothing.
    pub(crate) fn yield_terminal(&self, yields: bool) {
        self.shared.yields.store(yields, Ordering::Relaxed);
    }

    /// Whether texts wait for a full-screen program.
    pub(crate) fn is_waiting_for_terminal(&self) -> bool {
        self.shared.yields.load(Ordering::Relaxed) && is_full_screen()
    }

    /// Queues a text of whole lines, or drops it.
    pub fn write(&self, text: String) {
        let mut queue = self.shared.lock();
        if queue.bytes + text.len() > QUEUE_BYTES && !queue.texts.is_empty() {
            let first = queue.dropped == 0;
            queue.dropped += lines(&text);
            drop(queue);
            if first {
                say_elsewhere(self.name, "it is not read");
            }
            return;
        }
        queue.push_dropped(self.report);
        queue.push(Text { lines: lines(&text), text });
        drop(queue);
        self.shared.changed.notify_all();
    }

    fn finish(&self, deadline: Instant) {
        let mut queue = self.shared.lock();
        while queue.writing || !queue.texts.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Used by `tracing`, which writes each event in one piece.
impl io::Write for &OutputStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OutputStream::write(self, String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic cannot leave a change of the queue incomplete.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next text to write.
    fn next(&self) -> Text {
        let mut queue = self.lock();
        queue.writing = false;
        self.changed.notify_all();
        loop {
            if let Some(text) = queue.texts.pop_front() {
                queue.bytes -= text.text.len();
                queue.writing = true;
                return text;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    fn push(&mut self, text: Text) {
        self.bytes += text.text.len();
        self.texts.push_back(text);
    }

    /// Queues a report of the dropped lines, if there are any.
    fn push_dropped(&mut self, report: Report) {
        let lines = std::mem::take(&mut self.dropped);
        if lines > 0 {
            self.push(Text { text: report.line(lines), lines });
        }
    }
}

/// Returns whether a program reads single keys from the terminal of stderr (`ICANON` of termios(3) is off), as editors,
/// pagers, agents and the prompts of shells do. A line would be written over their picture.
fn is_full_screen() -> bool {
    tcgetattr(io::stderr()).is_ok_and(|terminal| !terminal.local_modes.contains(LocalModes::ICANON))
}

fn lines(text: &str) -> u64 {
    text.lines().count() as u64
}

/// Reports lines dropped from stdout on stderr, which may have a reader. Lines dropped from stderr are reported nowhere
/// else: stdout is for data.
fn say_elsewhere(name: &str, why: &str) {
    if name != "stderr" {
        tracing::warn!("lines for {name} are dropped: {why}");
    }
}

/// Writes the queue's texts, for as long as the process lives.
fn write_texts(name: &str, shared: &Shared, report: Report, mut to: impl Destination) {
    let mut within_line = false;
    loop {
        let Text { text, lines } = shared.next();
        while shared.yields.load(Ordering::Relaxed) && is_full_screen() {
            thread::sleep(LOOK_INTERVAL);
        }
        within_line &= !to.prepare(text.len());
        // A failed write may have left the beginning of a line.
        let text = if within_line { format!("\n{text}") } else { text };
        let (written, result) = write_text(to.descriptor(), text.as_bytes());
        if let Some(last) = text.as_bytes()[..written].last() {
            within_line = *last != b'\n';
        }
        let mut queue = shared.lock();
        let first = queue.dropped == 0;
        match result {
            // The report of dropped lines follows the texts that were in the queue when they were dropped.
            Ok(()) if queue.texts.is_empty() => queue.push_dropped(report),
            Ok(()) => {}
            Err(error) => {
                // The pipe has no reader, or the disk is full; that may change.
                queue.dropped += lines;
                drop(queue);
                if first {
                    say_elsewhere(name, &error.to_string());
                }
            }
        }
    }
}

/// Writes a text, and blocks as long as necessary. Returns the number of written bytes.
fn write_text(to: BorrowedFd<'_>, text: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < text.len() {
        match rustix::io::write(to, &text[written..]) {
            Ok(count) => written += count,
            Err(rustix::io::Errno::INTR) => {}
            // Another process made the descriptor non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(error) => return (written, Err(error.into())),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests;
