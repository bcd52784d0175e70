//! The installed Envoy: whether it can run the filter, and how it treats TLS sessions.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::finding::Finding;
use super::target::ProbeTargets;
use crate::envoy::capabilities::{
    Capabilities, LeafDelivery, Protocol, UpstreamTlsChoice, UpstreamTlsStrategy,
};
use crate::envoy::version::EnvoyVersion;
use crate::local_gateway::envoy;
use crate::nodes::host_contexts::ContextLimits;

/// The oldest version that is tested.
const OLDEST: EnvoyVersion = EnvoyVersion::new(1, 36, 0);
/// The name of a constructor in V8. Every Envoy that can run Wasm contains it, and no other does. `--version` does not
/// report this.
const MARK_OF_WASM: &[u8] = b"WebAssembly.Module()";
/// The time limit for `envoy --version`.
const WITHIN: Duration = Duration::from_secs(10);

/// The findings about Envoy, and the properties of Envoy that other findings need.
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    /// The strategy that the Envoy would get, or `None` without an Envoy.
    pub(super) strategy: Option<UpstreamTlsStrategy>,
    /// The time at which the Envoy gets the certificates for clients, or `None` without an Envoy.
    pub(super) leaf_delivery: Option<LeafDelivery>,
}

pub(super) async fn examine(
    named: Option<&Path>,
    choice: UpstreamTlsChoice,
    targets: &ProbeTargets,
) -> Examined {
    let variable = std::env::var_os("WEIR_ENVOY");
    let found = envoy::find(named, variable.as_deref(), std::env::var_os("PATH").as_deref());
    let binary = match found {
        Ok(binary) => binary,
        Err(error) => {
            let findings = vec![Finding::problem("Envoy", error.to_string(), error.help())];
            return Examined { findings, strategy: None, leaf_delivery: None };
        }
    };
    let said = match version(&binary).await {
        Ok(said) => said,
        Err(error) => {
            let what = format!("`{} --version` failed: {error}", binary.display());
            let findings = vec![Finding::problem("Envoy", what, "name another one with `--envoy FILE`")];
            return Examined { findings, strategy: None, leaf_delivery: None };
        }
    };
    let release = release(&said);
    let mut findings = vec![match release {
        Some(release) if release < OLDEST => {
            Finding::problem("Envoy", format!("{release} is too old"), format!("use {OLDEST} or newer"))
        }
        Some(release) => match release.missing_security_fixes() {
            Some(missing) => Finding::warning("Envoy", missing.to_string(), missing.help()),
            None => Finding::ok("Envoy", release.to_string()),
        },
        None => Finding::warning(
            "Envoy",
            format!("it is not a known release ({said})"),
            "it gets the resources that are right on every version",
        ),
    }];
    if !has_wasm(&binary).unwrap_or(false) {
        let what = "it has no wasm runtime, so it cannot load the filter";
        findings.push(Finding::problem("Envoy", what, "use another build: some leave it out"));
    }
    let strategy = sessions(release, choice, &mut findings);
    let delivery = Capabilities::new(release, Protocol::Delta, choice).leaf_delivery;
    if delivery == LeafDelivery::InAdvance && !targets.wildcards.is_empty() {
        let patterns: Vec<_> = targets.wildcards.iter().map(String::as_str).collect();
        let what = format!("it cannot intercept https to {}", patterns.join(", "));
        findings.push(Finding::problem("Envoy", what, "use 1.37 or newer, or list the names one by one"));
    }
    Examined { findings, strategy: Some(strategy), leaf_delivery: Some(delivery) }
}

fn sessions(
    release: Option<EnvoyVersion>,
    choice: UpstreamTlsChoice,
    findings: &mut Vec<Finding>,
) -> UpstreamTlsStrategy {
    let about = "TLS sessions";
    let strategy = choice.strategy(release, Protocol::Delta).unwrap_or_else(|refused| {
        let what = refused.to_string();
        let instead = refused.instead;
        findings.push(Finding::warning(about, what, "leave `--upstream-tls` out"));
        instead
    });
    let name = strategy.as_str();
    findings.push(match strategy {
        UpstreamTlsStrategy::SniScopedSessions => {
            Finding::ok(about, format!("{name}: resumed, and kept apart by server name by Envoy itself"))
        }
        UpstreamTlsStrategy::ContextPerHost => Finding::ok(
            about,
            format!(
                "{name}: this Envoy mixes them up, so each host in use has a TLS context of its own; beyond {} hosts \
                 at a time none is resumed",
                ContextLimits::DEFAULT.most
            ),
        ),
        UpstreamTlsStrategy::NoSessions => Finding::warning(
            about,
            format!("{name}: none is resumed, so every new connection to a host is a full handshake"),
            "use a released Envoy, and leave `--upstream-tls` out",
        ),
    });
    strategy
}

/// Returns the text after `version:` in the output of `envoy --version`.
async fn version(binary: &Path) -> io::Result<String> {
    let mut command = tokio::process::Command::new(binary);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WITHIN, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_once("version:").map(|(_, version)| version.trim().to_owned());
    version.ok_or_else(|| io::Error::other("it does not say its version"))
}

/// Parses `COMMIT/1.40.0/Clean/RELEASE/BoringSSL`. Returns `None` for a modified build.
fn release(version: &str) -> Option<EnvoyVersion> {
    let mut parts = version.split('/');
    let (_, release, state) = (parts.next()?, parts.next()?, parts.next()?);
    release.parse().ok().filter(|_| state == "Clean")
}

fn has_wasm(binary: &Path) -> io::Result<bool> {
    let mut file = File::open(binary)?;
    let mut window = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let read = file.read(window.get_mut(kept..).unwrap_or_default())?;
        let filled = window.get(..kept + read).unwrap_or_default();
        if filled.windows(MARK_OF_WASM.len()).any(|bytes| bytes == MARK_OF_WASM) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // The mark may be split between two reads.
        let rest = filled.len().saturating_sub(MARK_OF_WASM.len());
        let end = filled.len();
        window.copy_within(rest..end, 0);
        kept = end - rest;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_a_clean_release_is_known() {
        assert_eq!(release("0a1b/1.40.0/Clean/RELEASE/BoringSSL"), Some(EnvoyVersion::new(1, 40, 0)));
        for odd in
            ["0a1b/1.40.0/Modified/RELEASE/BoringSSL", "0a1b/1.41.0-dev/Clean/RELEASE/BoringSSL", "1.40.0"]
        {
            assert_eq!(release(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_mark_of_wasm_is_found_wherever_it_lies() {
        for before in [0, (1 << 20) - 7, (1 << 20) - 20, (1 << 20), 3 << 19] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&vec![b'x'; before]).unwrap();
            assert!(!has_wasm(file.path()).unwrap());
            file.write_all(MARK_OF_WASM).unwrap();
            assert!(has_wasm(file.path()).unwrap(), "{before}");
        }
    }
}
