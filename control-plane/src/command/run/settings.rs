//! From what was typed to what is meant.

use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use super::error::RunError;
use crate::ca::Ca;
use crate::environment::SystemRoots;
use crate::envoy;
use crate::process::program;
use crate::runtime_folder::RuntimeFolder;
use crate::state_folder::StateFolder;

/// Each worker is a thread with a wasm VM of its own; one machine's workload needs few.
const MOST_WORKERS: usize = 4;

pub(super) fn envoy_binary(named: Option<&Path>) -> Result<PathBuf, RunError> {
    let variable = std::env::var_os("WEIR_ENVOY");
    envoy::find(named, variable.as_deref(), std::env::var_os("PATH").as_deref()).map_err(RunError::NoEnvoy)
}

pub(super) fn state_path(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(StateFolder::locate(named, |name| std::env::var_os(name))?)
}

/// A bundle of the system's roots and the operator's, for Envoy to read. Never Weir's own root, which a system may
/// trust: upstreams are not ours to vouch for.
pub(super) fn upstream_roots(
    runtime: &RuntimeFolder,
    system: &SystemRoots,
    ca: &Ca,
    added: Option<&Path>,
) -> anyhow::Result<PathBuf> {
    for problem in &system.problems {
        tracing::warn!(problem, "not all of the system's roots could be read");
    }
    let roots = system.certificates.iter().filter(|certificate| *certificate != ca.root().der());
    let blocks: Vec<_> =
        roots.map(|certificate| pem::Pem::new("CERTIFICATE", certificate.as_slice())).collect();
    let mut bundle = pem::encode_many(&blocks);
    if let Some(path) = added {
        let pem = fs::read_to_string(path)
            .map_err(|cause| RunError::UpstreamRoots { path: path.to_owned(), cause })?;
        bundle.push('\n');
        bundle.push_str(&pem);
    }
    let path = runtime.file("upstream-roots.pem");
    fs::write(&path, bundle)?;
    Ok(path)
}

/// The address to give to Envoy, which would say less if it is taken.
pub(super) fn free_address(option: &'static str, wanted: SocketAddr) -> Result<SocketAddr, RunError> {
    let error = |cause| RunError::Listen { option, address: wanted, cause };
    TcpListener::bind(wanted).and_then(|listener| listener.local_addr()).map_err(error)
}

pub(super) fn workers() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().min(MOST_WORKERS))
}

/// A command that is not there is said before anything is started for it.
pub(super) fn must_be_found(command: &OsStr) -> Result<(), RunError> {
    let found = program::find(command, std::env::var_os("PATH").as_deref());
    found.map(drop).ok_or_else(|| RunError::NoCommand(command.to_string_lossy().into_owned()))
}
