//! The start of a run's Envoy: the socket and the bootstrap that it needs, and the errors if it fails.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::Context;
use tokio::net::UnixListener;

use super::ADMIN_SOCKET;
use crate::control_plane::ControlPlane;
use crate::envoy::bootstrap::Bootstrap;
use crate::envoy::capabilities::Protocol;
use crate::envoy::capacity::Capacity;
use crate::envoy::capacity::open_files::OpenFiles;
use crate::folder::runtime::RuntimeFolder;
use crate::local_gateway::envoy::{self, Envoy, LogFile};
use crate::local_gateway::error::RunError;
use crate::local_gateway::listening::Listening;

/// The name of the bootstrap in the run's folder.
const BOOTSTRAP: &str = "bootstrap.json";

/// Serves the control plane on a socket that only this user can open, and writes a bootstrap that names the socket.
pub(super) fn serve_envoy(
    control_plane: &ControlPlane,
    listening: &Listening,
    runtime: &RuntimeFolder,
    capacity: Capacity,
) -> anyhow::Result<()> {
    let socket_path = runtime.file("xds.sock");
    let failed = |path: &Path, cause| RunError::RunFile { path: path.to_owned(), cause };
    let socket = UnixListener::bind(&socket_path).map_err(|cause| failed(&socket_path, cause))?;
    std::fs::set_permissions(&socket_path, std::fs::Permissions::from_mode(0o600))
        .map_err(|cause| failed(&socket_path, cause))?;
    let serving = control_plane.serve(socket, listening.admit());
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the control plane stopped serving");
        }
    });
    let admin = runtime.file(ADMIN_SOCKET);
    let bootstrap = Bootstrap {
        node: "weir-run",
        control_plane: &socket_path,
        admin: &admin,
        protocol: Protocol::Delta,
        capacity,
    };
    let bootstrap = bootstrap.to_json().to_string();
    let write = || runtime.create(BOOTSTRAP)?.write_all(bootstrap.as_bytes());
    write().map_err(|cause| failed(&runtime.file(BOOTSTRAP), cause))?;
    tracing::info!(admin = %admin.display(), "serving envoy");
    Ok(())
}

/// Starts Envoy with the bootstrap.
pub(super) fn start(runtime: &RuntimeFolder, binary: &Path, open_files: OpenFiles) -> anyhow::Result<Envoy> {
    tracing::info!(envoy = %binary.display(), "starting envoy");
    let path = runtime.file("envoy.log");
    let file =
        runtime.create("envoy.log").map_err(|cause| RunError::RunFile { path: path.clone(), cause })?;
    let bootstrap = runtime.file(BOOTSTRAP);
    let log = LogFile { file, path };
    let envoy = Envoy::start(binary, &bootstrap, envoy::workers(), open_files.hard, log);
    Ok(envoy.map_err(|cause| RunError::Start { program: binary.to_owned(), cause })?)
}

/// Says why Envoy is not ready.
pub(super) fn lacks(control_plane: &ControlPlane, listening: &Listening) -> String {
    let nodes = control_plane.nodes().subscribe();
    let nodes = nodes.borrow();
    if nodes.is_empty() {
        "it did not connect to weir".to_owned()
    } else if nodes.values().any(|node| node.stream.is_ready()) {
        let addresses = listening.doors().into_iter().map(|door| door.address.to_string());
        format!("it does not answer on {}", addresses.collect::<Vec<_>>().join(" and "))
    } else {
        "it has not accepted its configuration".to_owned()
    }
}

/// Makes the error of an Envoy that ended by itself.
pub(super) fn envoy_ended(envoy: &Envoy, status: std::io::Result<ExitStatus>) -> anyhow::Error {
    let status = match status.context("cannot wait for Envoy") {
        Ok(status) => status,
        Err(error) => return error,
    };
    RunError::EnvoyEnded { binary: envoy.binary().to_owned(), status, log: envoy.last_words() }.into()
}
