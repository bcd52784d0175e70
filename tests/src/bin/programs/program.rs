//! A program that people run behind Weir, and how it is installed and run.

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Program {
    /// The name in the table.
    pub(crate) name: &'static str,
    /// The packages that it needs, beside what the set-up installs.
    pub(crate) packages: Packages,
    /// A shell command that prints the version.
    pub(crate) version: &'static str,
    /// A shell script that requests something of `$BASE` (`https://HOST:PORT`) or `$AUTHORITY` (`HOST:PORT`). The
    /// script runs in an empty folder, with the variables of Weir, `PATH`, `HOME`, and `SCRIPTS` (the folder
    /// `tests/programs`).
    pub(crate) request: &'static str,
    /// The advice of the table, in Markdown; empty if the program needs none.
    pub(crate) advice: &'static str,
}

/// The packages of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packages {
    /// None: the set-up has installed the program.
    Machine,
    /// None: no package of the registries has the program. On a machine without it, the row says so.
    Elsewhere,
    /// Packages of PyPI.
    Python(&'static [&'static str]),
    /// Packages of the npm registry.
    Npm(&'static [&'static str]),
}
