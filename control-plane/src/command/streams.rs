//! Standard output and standard error of the commands that print a result and end.

use std::io::{self, ErrorKind, StderrLock, StdoutLock, Write};

use crate::command::exit_code::ExitCode;
use crate::output::report::Style;

/// Returns standard output. A reader that closes it has read enough (`weir explain … | head -1`): the rest of the
/// output is dropped, and the command ends with its normal code. Any other failure is an error.
pub(super) fn stdout() -> Stream<StdoutLock<'static>> {
    Stream { to: io::stdout().lock(), closed: false, forgives: |kind| kind == ErrorKind::BrokenPipe }
}

/// Returns standard error. Output that it does not accept is lost.
pub(super) fn stderr() -> Stream<StderrLock<'static>> {
    Stream { to: io::stderr().lock(), closed: false, forgives: |_| true }
}

/// Runs a command that writes to standard output and standard error, and flushes what it wrote.
pub(super) fn run(
    command: impl FnOnce(&mut dyn Write, &mut dyn Write, Style) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (stdout(), stderr());
    let code = command(&mut out, &mut err, Style::for_stderr())?;
    out.flush()?;
    Ok(code)
}

/// A standard stream that may be closed: an error that it forgives ends the output, and not the command.
pub(super) struct Stream<W> {
    to: W,
    closed: bool,
    forgives: fn(ErrorKind) -> bool,
}

impl<W: Write> Stream<W> {
    fn forgive<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if (self.forgives)(error.kind()) && error.kind() != ErrorKind::Interrupted => {
                self.closed = true;
                Ok(instead)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.to.write(bytes).map_err(|cause| cannot_write(&cause));
        self.forgive(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.to.flush().map_err(|cause| cannot_write(&cause));
        self.forgive(result, ())
    }
}

/// A full disk says only that it is one. Standard output alone has failures that a person sees.
fn cannot_write(cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("cannot write to stdout: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_closed_pipe_is_forgiven_on_stdout() {
        let forgives = stdout().forgives;
        let mut closed = Stream { to: Failing(ErrorKind::BrokenPipe), closed: false, forgives };
        closed.write_all(b"one").unwrap();
        closed.flush().unwrap();
        let mut full = Stream { to: Failing(ErrorKind::StorageFull), closed: false, forgives };
        assert_eq!(full.write_all(b"one").unwrap_err().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn nothing_is_held_against_stderr() {
        let forgives = stderr().forgives;
        for kind in [ErrorKind::BrokenPipe, ErrorKind::StorageFull] {
            Stream { to: Failing(kind), closed: false, forgives }.write_all(b"one").unwrap();
        }
    }
}
