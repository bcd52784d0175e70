//! Errors that advise the operator.

/// An error with advice. The error displays as its message and a line `help: …`, which no reader has to take apart again.
pub(crate) trait Advice {
    /// The message, without the advice.
    fn message(&self) -> String;

    /// The advice, if there is any.
    fn help(&self) -> Option<String>;

    /// The message with the advice.
    fn text(&self) -> String {
        match self.help() {
            Some(help) => format!("{}\nhelp: {help}", self.message()),
            None => self.message(),
        }
    }
}
