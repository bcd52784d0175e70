//! The exit code of `weir`.

/// The exit codes of `weir`. Scripts rely on them, so a new meaning needs a new code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: success, or the decision is allow.
    Ok,
    /// 1: a failure that no policy caused.
    Failure,
    /// 2: the decision is deny.
    Deny,
    /// 3: a policy or the command line is invalid.
    Invalid,
    /// The exit code of the command that `weir run` ran.
    Command(u8),
}

impl ExitCode {
    /// The code that a shell reports for a process that this signal ended.
    #[must_use]
    pub fn from_signal(signal: rustix::process::Signal) -> Self {
        Self::Command(u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX))
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Ok => 0,
            ExitCode::Failure => 1,
            ExitCode::Deny => 2,
            ExitCode::Invalid => 3,
            ExitCode::Command(code) => code,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        u8::from(code).into()
    }
}
