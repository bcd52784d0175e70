//! A curl behind the gateway, whose output a test reads while it runs.

use std::io::{PipeWriter, pipe};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use e2e::{Deadline, Process, RunningGateway, require_program};

/// A curl that is not started yet. It reads no configuration file and no variable.
pub(super) struct Curl(Command);

impl Curl {
    pub(super) fn new(gateway: &RunningGateway) -> Result<Self> {
        let mut command = Process::command(require_program("curl")?);
        command.env_clear().args(["--disable", "--silent", "--show-error", "--max-time", "30"]);
        command.args(["--proxy", gateway.proxy(), "--capath", "/dev/null", "--cacert"]);
        command.arg(gateway.authority()).stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Self(command))
    }

    pub(super) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.args(arguments);
        self
    }

    pub(super) fn start(mut self, url: &str) -> Result<Running> {
        Ok(Running(Process::start("curl", self.0.args(["--url", url]))?))
    }

    /// Starts curl, and returns the writing end of its standard input: the content that it uploads.
    pub(super) fn start_with_content(mut self, url: &str) -> Result<(Running, PipeWriter)> {
        let (reader, writer) = pipe()?;
        self.0.stdin(reader);
        Ok((self.start(url)?, writer))
    }
}

/// A running curl.
pub(super) struct Running(Process);

impl Running {
    /// Waits until curl has written this line.
    pub(super) fn wait_line(&mut self, line: &str) -> Result<()> {
        self.0.stdout().wait(Deadline::seconds(20), &format!("`{line}` from curl"), |lines| {
            lines.iter().any(|found| found == line).then_some(())
        })
    }

    /// Waits for curl's end, which must be without an error.
    pub(super) fn succeed(&mut self) -> Result<()> {
        self.succeed_within(35)
    }

    /// Waits at most so many seconds for curl's end, which must be without an error.
    pub(super) fn succeed_within(&mut self, seconds: u64) -> Result<()> {
        let status = self.0.wait(Deadline::seconds(seconds))?;
        ensure!(status.success(), "curl ended with {status}: {}", self.0.stderr().text());
        Ok(())
    }

    /// Waits until curl has written so many lines.
    pub(super) fn wait_lines(&self, count: usize) -> Result<Vec<String>> {
        self.0.stdout().wait(Deadline::seconds(20), &format!("{count} lines from curl"), |lines| {
            (lines.len() >= count).then(|| lines.to_vec())
        })
    }
}
