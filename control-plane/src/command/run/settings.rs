//! From what was typed to what is meant.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::error::RunError;
use crate::envoy;
use crate::process::program;
use crate::state_folder::StateFolder;

pub(super) fn envoy_binary(named: Option<&Path>) -> Result<PathBuf, RunError> {
    let variable = std::env::var_os("WEIR_ENVOY");
    envoy::find(named, variable.as_deref(), std::env::var_os("PATH").as_deref()).map_err(RunError::NoEnvoy)
}

pub(super) fn state_path(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(StateFolder::locate(named, |name| std::env::var_os(name))?)
}

/// The address to give to Envoy, which would say less if it is taken.
pub(super) fn free_address(option: &'static str, wanted: SocketAddr) -> Result<SocketAddr, RunError> {
    let error = |cause| RunError::Listen { option, address: wanted, cause };
    TcpListener::bind(wanted).and_then(|listener| listener.local_addr()).map_err(error)
}

/// A command that is not there is said before anything is started for it.
pub(super) fn must_be_found(command: &OsStr) -> Result<(), RunError> {
    let found = program::find(command, std::env::var_os("PATH").as_deref());
    found.map(drop).ok_or_else(|| RunError::NoCommand(command.to_string_lossy().into_owned()))
}
