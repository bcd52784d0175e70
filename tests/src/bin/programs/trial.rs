//! One program behind a real gateway: a request that the policy allows, one that it denies, and a denied CONNECT.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use e2e::{ALPHA, Deadline, EnvoyBinary, Run, RunningGateway, ServerOptions, UNLISTED, UpstreamHosts};
use tempfile::TempDir;

use crate::program::{Packages, Program};
use crate::tools::Tools;

/// The number of seconds that a program may take.
const LIMIT: &str = "60";

/// The gateway that all programs use, and its hosts.
pub(crate) struct Bench {
    hosts: UpstreamHosts,
    gateway: RunningGateway,
}

/// The outcomes of a program's requests.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The program's version.
    pub(crate) version: String,
    /// The outcome of the allowed request.
    pub(crate) allowed: Allowed,
    /// The program's output for a request that the policy denies inside the tunnel.
    pub(crate) denied_request: String,
    /// The program's output for a CONNECT that the policy denies.
    pub(crate) denied_connect: String,
}

/// The outcome of an allowed request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// The host answered it.
    Answered,
    /// The program connected to the gateway, and sent no request: it does not trust the certificate.
    Distrusted(String),
    /// The program never connected to the gateway.
    Direct(String),
}

impl Bench {
    /// Starts the hosts and the gateway.
    pub(crate) fn start() -> Result<Self> {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        // A CONNECT to a port that a rule names is admitted, so that the client can read the denial in the tunnel.
        let policy = format!(
            "rules:\n  - id: alpha\n    effect: allow\n    hosts: [{ALPHA}]\n    ports: [{}]\n    \
             addresses: [127.0.0.1/32]\n",
            hosts.port()
        );
        let gateway = Run::new(&EnvoyBinary::newest()?, &hosts, &policy)?.start()?;
        Ok(Self { hosts, gateway })
    }

    /// Runs a program against each of the three hosts. The result is empty if a program of [`Packages::Elsewhere`] is
    /// not on this machine.
    ///
    /// # Errors
    /// When any other program is missing.
    pub(crate) fn run(&self, program: &Program, tools: &Tools) -> Result<Option<Outcome>> {
        let allowed = self.hosts.authority(ALPHA);
        let (found, said) = self.script(program.version, &allowed, tools)?;
        let version = match (found, version(&said)) {
            (true, Some(version)) => version.to_owned(),
            _ if matches!(program.packages, Packages::Elsewhere) => return Ok(None),
            _ => bail!("`{}` is missing or does not start: {said}", program.name),
        };
        let (connections, decisions) = (self.connections()?, self.decisions(ALPHA));
        let (_, printed) = self.script(program.request, &allowed, tools)?;
        let answered = || Ok((self.decisions(ALPHA) > decisions).then_some(()));
        let allowed = if Deadline::seconds(3).poll("a decision", answered).is_ok() {
            Allowed::Answered
        } else if self.connections()? > connections {
            Allowed::Distrusted(printed)
        } else {
            Allowed::Direct(printed)
        };
        let printed_for = |authority: String| -> Result<String> {
            let (_, printed) = self.script(program.request, &authority, tools)?;
            let port = authority.trim_start_matches(UNLISTED).trim_start_matches(':');
            let printed = printed.replace(&authority, "HOST").replace(self.gateway.proxy(), "PROXY");
            Ok(printed.replace(UNLISTED, "HOST").replace(port, "PORT"))
        };
        Ok(Some(Outcome {
            version,
            allowed,
            denied_request: printed_for(self.hosts.authority(UNLISTED))?,
            denied_connect: printed_for(self.hosts.plain_authority(UNLISTED))?,
        }))
    }

    /// Runs a shell script in an empty folder, and returns whether it succeeded and what it printed.
    fn script(&self, script: &str, authority: &str, tools: &Tools) -> Result<(bool, String)> {
        let folder = TempDir::new()?;
        let home = TempDir::new()?;
        let mut variables: BTreeMap<String, OsString> = BTreeMap::new();
        for (name, value) in self.gateway.exports() {
            variables.insert(name.clone(), value.into());
        }
        for (name, value) in tools.variables()? {
            variables.insert(name.to_owned(), value);
        }
        variables.insert("HOME".to_owned(), home.path().into());
        variables.insert("LANG".to_owned(), "C.UTF-8".into());
        variables.insert("BASE".to_owned(), format!("https://{authority}").into());
        variables.insert("AUTHORITY".to_owned(), authority.into());
        // rustup keeps its compilers, and Go its build cache, in the home folder of the machine's user.
        if let Some(home) = std::env::home_dir() {
            variables.insert("RUSTUP_HOME".to_owned(), home.join(".rustup").into());
            variables.insert("GOCACHE".to_owned(), home.join(".cache/go-build").into());
        }
        let output = folder.path().join(".output");
        let file = fs::File::create(&output)?;
        let status = Command::new("timeout")
            .args(["--kill-after=5", LIMIT, "sh", "-c", script])
            .current_dir(folder.path())
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .status()
            .context("cannot run `timeout`")?;
        Ok((status.success(), String::from_utf8_lossy(&fs::read(output)?).into_owned()))
    }

    /// The number of requests to a host, inside of tunnels, that the gateway has logged.
    fn decisions(&self, host: &str) -> usize {
        let text = self.gateway.stdout();
        let field = format!("\"host\":\"{host}\"");
        text.lines()
            .filter(|line| line.starts_with('{') && line.contains(&field) && !line.contains("\"CONNECT\""))
            .count()
    }

    /// The number of connections that clients have made to the proxy.
    fn connections(&self) -> Result<u64> {
        let stats = self.gateway.envoy_stats("http.*downstream_cx_total")?;
        Ok(stats.into_iter().filter(|(name, _)| !name.contains("admin")).map(|(_, value)| value).sum())
    }
}

/// The first version number in a text: digits with a dot between them.
fn version(text: &str) -> Option<&str> {
    let numbers = text.split(|character: char| !character.is_ascii_digit() && character != '.');
    numbers.map(|number| number.trim_matches('.')).find(|number| number.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (said, expected) in [
            ("curl 7.88.1 (x86_64-pc-linux-gnu)", "7.88.1"),
            ("go version go1.26.8 linux/amd64", "1.26.8"),
            ("  \"version\": \"12.21.0\",", "12.21.0"),
            ("Name: uv\nVersion: 0.13.9\n", "0.13.9"),
        ] {
            assert_eq!(version(said), Some(expected));
        }
        assert_eq!(version("sh: 1: deno: not found"), None);
    }
}
