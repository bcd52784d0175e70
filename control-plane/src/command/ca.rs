//! `weir ca`: shows the interception CA, exports its certificates for clients, and replaces it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use weir_policy::Host;

use super::{duration, streams};
use crate::ca::name_constraints::NameConstraints;
use crate::ca::signing_ca::{SigningCa, TrustedRoot};
use crate::ca::validity::date;
use crate::ca::{self, Ca, Lifetimes};
use crate::command::exit_code::ExitCode;
use crate::folder::state::StateFolder;
use crate::local_gateway::environment::{SystemRoots, bundle, java_truststore, pkcs12_truststore};

const HOW_TO_TRUST: &str = "\
to trust it outside of `weir run`:
  weir ca export --format bundle > bundle.pem   with the system's roots, for programs that trust one file alone:
      SSL_CERT_FILE (OpenSSL, Python, Go, Rust), CURL_CA_BUNDLE, GIT_SSL_CAINFO, REQUESTS_CA_BUNDLE, PIP_CERT,
      CARGO_HTTP_CAINFO, AWS_CA_BUNDLE name the file
  weir ca export > roots.pem                    alone, for programs that add it to what they trust:
      NODE_EXTRA_CA_CERTS, DENO_CERT name the file; on Debian it is a `.crt` in /usr/local/share/ca-certificates
  weir ca export --format jks > truststore.jks  for Java: -Djavax.net.ssl.trustStore=truststore.jks
";

/// The arguments of `weir ca`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the CA, and how to trust it
    Show {
        #[command(flatten)]
        folder: CaFolder,
        /// Write a JSON object to stdout
        #[arg(long)]
        json: bool,
    },
    /// Write the certificates that clients must trust to stdout
    Export {
        #[command(flatten)]
        folder: CaFolder,
        /// The form of the certificates
        #[arg(long, value_enum, default_value_t = Format::Pem)]
        format: Format,
    },
    /// Make a new root; a running `weir run` starts to use it
    Rotate {
        #[command(flatten)]
        folder: CaFolder,
        /// How long the old root stays trusted; `0` ends its trust at once, as after a theft of its key
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
        keep: Duration,
        /// A host for which the new root may vouch, and for all names below it; may be repeated [default: all]
        #[arg(long, value_name = "HOST", value_parser = host)]
        permit: Vec<Host>,
    },
}

#[derive(Debug, Args)]
struct CaFolder {
    /// The folder of the CA [default: $XDG_STATE_HOME/weir, else ~/.local/state/weir]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Weir's roots in PEM
    Pem,
    /// Weir's roots and the system's in PEM
    Bundle,
    /// Weir's roots and the system's as a key store of Java
    Jks,
    /// Weir's roots and the system's as PKCS #12, without a password
    Pkcs12,
}

/// Runs the subcommand.
///
/// # Errors
/// When the CA is unusable, or stdout cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    act(&arguments.action, SystemTime::now(), &mut streams::stdout())?;
    Ok(ExitCode::Ok)
}

fn act(action: &Action, now: SystemTime, out: &mut dyn Write) -> anyhow::Result<()> {
    match action {
        Action::Show { folder, json } => {
            let (folder, signing_ca) = folder.open(now)?;
            if *json {
                writeln!(out, "{:#}", object(folder.path(), &signing_ca))?;
            } else {
                write!(out, "{}\n{HOW_TO_TRUST}", text(folder.path(), &signing_ca))?;
            }
        }
        Action::Export { folder, format } => {
            let (_, signing_ca) = folder.open(now)?;
            out.write_all(&match format {
                Format::Pem => signing_ca.roots_pem().into_bytes(),
                Format::Bundle => bundle(&signing_ca, &SystemRoots::load()).into_bytes(),
                Format::Jks => java_truststore(&signing_ca, &SystemRoots::load()),
                Format::Pkcs12 => pkcs12_truststore(&signing_ca, &SystemRoots::load()),
            })?;
        }
        Action::Rotate { folder, keep, permit } => {
            let folder = folder.folder()?;
            let signing_ca = ca::rotate(&folder, *keep, &NameConstraints::permitting(permit), now)?;
            write!(out, "{}", text(folder.path(), &signing_ca))?;
        }
    }
    out.flush()?;
    Ok(())
}

impl CaFolder {
    fn folder(&self) -> anyhow::Result<StateFolder> {
        let path = StateFolder::locate(self.state.as_deref(), |name| std::env::var_os(name))?;
        Ok(StateFolder::open(&path)?)
    }

    fn open(&self, now: SystemTime) -> anyhow::Result<(StateFolder, std::sync::Arc<SigningCa>)> {
        let folder = self.folder()?;
        let signing_ca = Ca::open(&folder, Lifetimes::default(), now)?.signing_ca();
        Ok((folder, signing_ca))
    }
}

fn host(text: &str) -> Result<Host, String> {
    let host = Host::parse(text.as_bytes()).map_err(|fault| fault.to_string())?;
    if host.is_address() { Err("a root vouches for names, not for addresses".to_owned()) } else { Ok(host) }
}

fn text(folder: &Path, signing_ca: &SigningCa) -> String {
    let (certificate, validity) = (signing_ca.certificate(), signing_ca.certificate().validity());
    let mut text = format!(
        "{}\n  kept in      {}\n  fingerprint  {} (SHA-256)\n  valid        {} to {}\n  vouches for  {}\n",
        certificate.name(),
        folder.display(),
        certificate.fingerprint(),
        date(validity.not_before),
        date(validity.not_after),
        if signing_ca.is_constrained() {
            certificate.constraints().to_string()
        } else {
            "any name".to_owned()
        },
    );
    for TrustedRoot { certificate, until } in signing_ca.roots().iter().skip(1) {
        text.push_str(&format!(
            "also trusted, until {}:\n{}\n  fingerprint  {} (SHA-256)\n",
            date(*until),
            certificate.name(),
            certificate.fingerprint()
        ));
    }
    text
}

fn object(folder: &Path, signing_ca: &SigningCa) -> serde_json::Value {
    let roots = signing_ca.roots().iter().map(|TrustedRoot { certificate, until }| {
        json!({
            "name": certificate.name(),
            "fingerprint": certificate.fingerprint(),
            "not_before": date(certificate.validity().not_before),
            "not_after": date(certificate.validity().not_after),
            "trusted_until": date(*until),
            "vouches_for": certificate.constraints().to_string(),
        })
    });
    let roots: Vec<_> = roots.collect();
    json!({ "state": folder.display().to_string(), "roots": roots })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::state::tests::temporary;
    use std::time::UNIX_EPOCH;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    /// Returns the output, without the parts that differ from one CA to another.
    fn written(folder: &StateFolder, arguments: &[&str], at: SystemTime) -> String {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            arguments: Arguments,
        }
        let state = folder.path().to_str().unwrap();
        let words = [&["ca"], arguments, &["--state", state]].concat();
        let command = <Command as clap::Parser>::parse_from(words);
        let mut out = Vec::new();
        act(&command.arguments.action, at, &mut out).unwrap();
        let written = String::from_utf8(out).unwrap().replace(state, "STATE");
        let random = |word: &str| match word {
            word if word.len() == 95 && word.contains(':') => "FINGERPRINT".to_owned(),
            word if word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => "ID".to_owned(),
            word => word.to_owned(),
        };
        written
            .split_inclusive([' ', '\n', '"'])
            .map(|word| {
                let (word, end) = word.split_at(word.len().saturating_sub(1));
                random(word) + end
            })
            .collect()
    }

    #[test]
    fn what_the_ca_is_and_how_to_trust_it() {
        let (_parent, folder) = temporary();
        insta::assert_snapshot!(written(&folder, &["show"], now()));
        insta::assert_snapshot!(written(&folder, &["show", "--json"], now()));
    }

    #[test]
    fn a_rotation_says_what_is_trusted_now_and_until_when() {
        let (_parent, folder) = temporary();
        written(&folder, &["show"], now());
        let permit = ["rotate", "--permit", "a.example", "--permit", "b.example"];
        insta::assert_snapshot!(written(&folder, &permit, now()));
    }

    #[test]
    fn all_roots_that_are_trusted_are_exported() {
        let (_parent, folder) = temporary();
        let before = written(&folder, &["export"], now());
        written(&folder, &["rotate", "--keep", "1h"], now());
        let both = written(&folder, &["export"], now());
        assert!(both.ends_with(&before) && both.len() > before.len());
        let later = written(&folder, &["export"], now() + Duration::from_hours(2));
        assert!(both.starts_with(&later) && later.len() < both.len());
    }
}
