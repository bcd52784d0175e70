//! A local Envoy: which binary, how it is started, what it said when it failed.

pub mod admin;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crate::process::parent_death::{self, ParentDeathSignal};
use crate::process::{ChildProcess, program};

/// Lines of Envoy's log that an error shows.
const LOG_LINES: usize = 12;
/// How long Envoy may take to send its last decisions.
const GRACE: Duration = Duration::from_millis(500);

/// Each worker is a thread with a wasm VM of its own; one machine's workload needs few.
const MOST_WORKERS: usize = 4;

/// The workers of a local Envoy.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS))
}

/// No Envoy to run.
#[derive(Debug, thiserror::Error)]
pub enum NoEnvoy {
    /// The one that was named cannot be run.
    #[error("`{0}` is not a program that can be run")]
    NotRunnable(PathBuf),
    /// None was named and none is in the path.
    #[error("there is no `envoy` in PATH")]
    NotInPath,
}

/// Finds the Envoy to run: the one named, else `$WEIR_ENVOY`, else the one in `PATH`.
///
/// # Errors
/// When it cannot be run, or there is none.
pub fn find(
    named: Option<&Path>,
    variable: Option<&OsStr>,
    path: Option<&OsStr>,
) -> Result<PathBuf, NoEnvoy> {
    match named.map(Path::as_os_str).or(variable) {
        Some(named) => program::find(named, path).ok_or_else(|| NoEnvoy::NotRunnable(named.into())),
        None => program::find("envoy".as_ref(), path).ok_or(NoEnvoy::NotInPath),
    }
}

/// The file that Envoy's log goes to.
#[derive(Debug)]
pub struct LogFile {
    /// The file, to be written.
    pub file: File,
    /// Its path, to be read.
    pub path: PathBuf,
}

/// A running Envoy. It ends with this value, and with us.
#[derive(Debug)]
pub struct Envoy {
    process: ChildProcess,
    binary: PathBuf,
    log: PathBuf,
}

impl Envoy {
    /// Starts Envoy on a bootstrap, with this limit of open files; its log goes to a file.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start(
        binary: &Path,
        bootstrap: &Path,
        workers: usize,
        open_files: u64,
        log: LogFile,
    ) -> io::Result<Self> {
        let LogFile { file, path: log } = log;
        let mut command = parent_death::command(binary, ParentDeathSignal::Kill, open_files);
        command
            .arg("-c")
            .arg(bootstrap)
            .args(["--concurrency", &workers.to_string()])
            // Two Envoys on one machine must not share memory by accident.
            // A client can make Envoy warn of its request as often as it likes, with the request's path.
            .args(["--disable-hot-restart", "--log-level", "error"])
            // What its resolver would take for settings beside those that it is served (resolv.conf(5)).
            .env_remove("LOCALDOMAIN")
            .env_remove("RES_OPTIONS")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // A terminal's Ctrl-C is for us: we end Envoy when the last decision is in.
            .process_group(0);
        Ok(Self { process: ChildProcess::spawn(command)?, binary: binary.to_owned(), log })
    }

    /// Waits until Envoy ends by itself, which it never should.
    ///
    /// # Errors
    /// When the operating system refuses to wait.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Ends Envoy.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn stop(mut self) -> io::Result<()> {
        self.process.terminate(GRACE).await.map(drop)
    }

    /// The process's number, until it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The file of Envoy's log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of Envoy's log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// The program that was started.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}
