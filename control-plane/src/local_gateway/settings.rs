//! Settings of a run from its command-line options.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::error::RunError;
use crate::folder::state::StateFolder;
use crate::local_gateway::envoy;
use crate::process::program;

/// The proxy's default port for a run without a command.
const PORT: u16 = 15001;

pub(crate) fn envoy_binary(named: Option<&Path>) -> Result<PathBuf, RunError> {
    let variable = std::env::var_os("WEIR_ENVOY");
    envoy::find(named, variable.as_deref(), std::env::var_os("PATH").as_deref()).map_err(RunError::NoEnvoy)
}

pub(crate) fn state_path(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(StateFolder::locate(named, |name| std::env::var_os(name))?)
}

/// Returns the proxy's address. A command gets it in its variables, so any free port will do; a run without a command
/// needs a fixed one.
pub(crate) fn listen(named: Option<SocketAddr>, has_command: bool) -> SocketAddr {
    let port = if has_command { 0 } else { PORT };
    named.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Fails for a command that does not exist, before anything is started for it.
pub(crate) fn must_be_found(command: &OsStr) -> Result<(), RunError> {
    let found = program::find(command, std::env::var_os("PATH").as_deref());
    found.map(drop).ok_or_else(|| RunError::NoCommand(command.to_string_lossy().into_owned()))
}
