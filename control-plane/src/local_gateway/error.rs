//! The errors of `weir run`, each with its correction.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::envoy::capabilities::RefusedStrategy;
use crate::input::certificate_file::CertificateFileError;
use crate::input::policy_text::PolicyTextError;
use crate::input::proxy_credentials::ProxyCredentialsError;
use crate::local_gateway::envoy::NoEnvoy;
use crate::process::listening::Holder;

/// No variant has a source. Each message contains its cause; a source would be printed a second time after the help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{_0}\nhelp: {}", _0.help())]
    NoEnvoy(NoEnvoy),
    #[error("cannot listen on {address}: {}", listen_hint(option, cause, holder.as_ref()))]
    Listen { option: &'static str, address: SocketAddr, cause: io::Error, holder: Option<Holder> },
    #[error("{0}\nhelp: name the policy document with `--policy FILE`")]
    Policy(PolicyTextError),
    #[error("{0}")]
    ProxyCredentials(ProxyCredentialsError),
    #[error("{0}\nhelp: `--upstream-ca` names a file of certificates in PEM form")]
    UpstreamRoots(CertificateFileError),
    #[error(
        "this system trusts no roots that upstreams could be verified by\nhelp: install its CA certificates, or name a file of roots with `--upstream-ca`"
    )]
    NoUpstreamRoots,
    #[error(
        "`{0}` is not a program in PATH\nhelp: Weir runs the words after `--` as one program; for a shell line, write `-- sh -c '…'`"
    )]
    NoCommand(String),
    #[error("`{}` ended by itself ({status}); the end of its log:\n{log}{}", binary.display(), end_hint(*status, log))]
    EnvoyEnded { binary: PathBuf, status: ExitStatus, log: String },
    #[error("`{}` and `{}` are one address\nhelp: give each another port", first, second)]
    OneAddress { first: String, second: String },
    #[error("envoy was not ready in time: {lacks}; {}", log_and_hint(log))]
    NotReady { lacks: String, log: String },
    #[error("cannot start `{}`: {cause}{}", program.display(), start_hint())]
    Start { program: PathBuf, cause: io::Error },
    #[error("cannot write `{}`: {cause}\nhelp: let `XDG_RUNTIME_DIR` name a folder of yours on a disk with space", path.display())]
    RunFile { path: PathBuf, cause: io::Error },
    #[error("cannot write decisions to `{}`: {cause}\nhelp: name a file that you may write to, or `-`", path.display())]
    DecisionFile { path: PathBuf, cause: io::Error },
    #[error("`--upstream-tls {}` is wrong on this Envoy: {}\nhelp: leave the option out", .0.asked.as_str(), .0.because)]
    Strategy(RefusedStrategy),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("envoy rejected its {kind}: {text}{}", hint(text))]
    Rejected { kind: &'static str, text: String },
}

fn listen_hint(option: &str, cause: &io::Error, holder: Option<&Holder>) -> String {
    let another = format!("take another port with `{option}`, such as 0 for a free one");
    match holder {
        _ if cause.kind() != io::ErrorKind::AddrInUse => {
            format!("{cause}\nhelp: name another address or port with `{option}`")
        }
        Some(holder) => format!("{holder} listens there\nhelp: end it, or {another}"),
        None => format!("another program has reserved it\nhelp: end that, or {another}"),
    }
}

/// Returns the hint for an Envoy that ended. A program that ends without a log may not be Envoy; a program that a
/// signal ended had no time to log.
fn end_hint(status: ExitStatus, log: &str) -> &'static str {
    if log.is_empty() && status.code().is_some() {
        "\nhelp: it logged nothing: is it an Envoy?"
    } else {
        hint(log)
    }
}

/// The program that starts others is Weir's own, by its path in /proc (`process/parent_death.rs`).
fn start_hint() -> &'static str {
    if std::path::Path::new("/proc/self/exe").exists() {
        "\nhelp: look at the limits of processes and memory (`ulimit -a`)"
    } else {
        "\nhelp: there is no /proc here, which weir needs: mount it"
    }
}

fn log_and_hint(log: &str) -> String {
    if log.is_empty() {
        "it logged nothing\nhelp: see whether the machine has processor time and memory left, and run it with \
         `WEIR_LOG=info`"
            .to_owned()
    } else {
        format!("the end of its log:\n{log}{}", hint(log))
    }
}

/// Returns the hint for messages of Envoy that are known to mislead.
fn hint(log: &str) -> &'static str {
    if ["envoy.wasm.runtime.v8", "Failed to create Wasm VM", "Unable to create Wasm plugin"]
        .iter()
        .any(|words| log.contains(words))
    {
        "\nhelp: if this Envoy has no Wasm runtime (some builds lack it), use another build"
    } else if log.contains("GLIBC_") {
        "\nhelp: this Envoy needs a newer C library than this system has: use another"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envoy_that_is_silent_and_not_ready_is_an_error_that_says_what_it_lacks() {
        let said = RunError::NotReady { lacks: "it did not connect to weir".to_owned(), log: String::new() };
        let said = said.to_string();
        assert!(said.contains("it did not connect to weir; it logged nothing\nhelp: "), "{said}");
    }
}
