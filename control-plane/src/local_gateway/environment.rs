//! Environment variables that route a program through Weir and make it trust Weir's certificates.
//!
//! Every runtime reads variables of its own. [`VARIABLES`] is the one list of them, for the command that `weir run`
//! starts, for the lines to paste, and for the documentation.

pub(crate) mod inherited_proxy;
mod java;
mod java_truststore;
mod pkcs12;
mod trust_files;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

pub use trust_files::{SystemRoots, TrustFiles, bundle, java_truststore, pkcs12_truststore};

/// An environment variable that some runtime reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// The variable's name.
    pub name: &'static str,
    /// The kind of value that it gets.
    pub value: Value,
    /// The programs that read it.
    pub serves: &'static str,
}

/// The kind of value that a variable gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The URL of the explicit listener.
    Proxy,
    /// The hosts that programs connect to directly: this machine.
    NoProxy,
    /// The path of a PEM file with Weir's root and the system's roots, for runtimes that trust this file alone.
    Bundle,
    /// The path of a PEM file with Weir's roots alone, for runtimes that add it to their built-in roots.
    Root,
    /// The value `1`.
    On,
    /// Options of the Java virtual machine, after the inherited ones.
    JavaOptions,
}

/// The hosts that programs connect to directly. An inherited `NO_PROXY` is replaced: a program would connect directly
/// to the hosts in it, which fails where Weir is the only way out and escapes the policy everywhere else.
pub const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Every variable, in the order in which Weir prints them.
///
/// Two kinds are left out. OpenSSL, Go and rustls read `SSL_CERT_DIR` beside `SSL_CERT_FILE`, so an inherited one only
/// adds roots. Yarn 2 and newer refuse to start when they meet a `YARN_…` variable that their version does not know:
/// every version knows the two of the proxy, and none of those of the roots is known to all.
pub const VARIABLES: &[Variable] = &[
    variable(
        "HTTPS_PROXY",
        Value::Proxy,
        "curl, git, Go, Python, Node.js, Rust, .NET, cargo, pip, npm, …: https",
    ),
    variable("https_proxy", Value::Proxy, "as `HTTPS_PROXY`; wget and gRPC read only this spelling"),
    variable("HTTP_PROXY", Value::Proxy, "Go, Python, Node.js, Rust, .NET, pip, npm, …: http"),
    variable("http_proxy", Value::Proxy, "as `HTTP_PROXY`; curl, git, wget and gRPC read only this spelling"),
    // Weir sets this variable, because an inherited `ALL_PROXY` could lead around Weir.
    variable("ALL_PROXY", Value::Proxy, "curl, Rust, httpx: any other scheme"),
    variable("all_proxy", Value::Proxy, "as `ALL_PROXY`"),
    variable("wss_proxy", Value::Proxy, "Python: aiohttp, websockets: WebSocket over https"),
    variable("ws_proxy", Value::Proxy, "Python: aiohttp, websockets: WebSocket over http"),
    variable("YARN_HTTPS_PROXY", Value::Proxy, "Yarn: https"),
    variable("YARN_HTTP_PROXY", Value::Proxy, "Yarn: http"),
    variable(
        "PERL_LWP_ENV_PROXY",
        Value::On,
        "Perl: LWP reads the proxy variables also without `env_proxy => 1`",
    ),
    variable(
        "NO_PROXY",
        Value::NoProxy,
        "all of these: the hosts that they reach directly. Weir replaces an inherited value",
    ),
    variable("no_proxy", Value::NoProxy, "as `NO_PROXY`"),
    variable(
        "SSL_CERT_FILE",
        Value::Bundle,
        "OpenSSL (Python, Ruby, PHP, Perl), Go, rustls, uv, .NET on Linux",
    ),
    variable("CURL_CA_BUNDLE", Value::Bundle, "curl"),
    variable("REQUESTS_CA_BUNDLE", Value::Bundle, "Python: requests"),
    variable("CA_BUNDLE", Value::Bundle, "scripts"),
    variable("GIT_SSL_CAINFO", Value::Bundle, "git"),
    variable("NODE_EXTRA_CA_CERTS", Value::Root, "Node.js, npm, pnpm, Yarn"),
    variable(
        "NODE_USE_ENV_PROXY",
        Value::On,
        "Node.js from 22.21 and 24: fetch and http(s) read the proxy variables",
    ),
    variable("npm_config_cafile", Value::Bundle, "npm, pnpm, Yarn 1: in place of the `cafile` of an `npmrc`"),
    variable("PERL_LWP_SSL_CA_FILE", Value::Bundle, "Perl: LWP"),
    variable("DENO_CERT", Value::Root, "Deno"),
    variable("PIP_CERT", Value::Bundle, "pip"),
    variable("CARGO_HTTP_CAINFO", Value::Bundle, "cargo"),
    variable("AWS_CA_BUNDLE", Value::Bundle, "AWS CLI and SDKs"),
    variable("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", Value::Bundle, "Google Cloud CLI"),
    variable("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", Value::Bundle, "gRPC (C++, Python, Ruby, PHP)"),
    variable("NIX_SSL_CERT_FILE", Value::Bundle, "Nix and programs built by it"),
    variable("JAVA_TOOL_OPTIONS", Value::JavaOptions, "Java: proxy and trust store as system properties"),
];

const fn variable(name: &'static str, value: Value, serves: &'static str) -> Variable {
    Variable { name, value, serves }
}

/// The explicit proxy listener.
#[derive(Clone, Copy)]
pub struct Proxy<'a> {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The credentials that it requires, in the form that a URL has before `@`: `user:password`.
    pub user_information: Option<&'a str>,
}

impl Proxy<'_> {
    fn url(self) -> String {
        let Self { address, user_information } = self;
        user_information
            .map_or_else(|| format!("http://{address}"), |user| format!("http://{user}@{address}"))
    }
}

/// The environment variables with their values.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    list: Vec<(&'static str, OsString)>,
}

impl Environment {
    /// Composes the variables for a proxy and its trust files. `inherited` reads the environment that the variables
    /// will be added to.
    #[must_use]
    pub fn new(proxy: Proxy<'_>, trust: &TrustFiles, inherited: impl Fn(&str) -> Option<OsString>) -> Self {
        let value = |variable: &Variable| match variable.value {
            Value::Proxy => proxy.url().into(),
            Value::NoProxy => NO_PROXY.into(),
            Value::Bundle => trust.bundle.clone().into_os_string(),
            Value::Root => trust.root.clone().into_os_string(),
            Value::On => "1".into(),
            Value::JavaOptions => {
                java::options(proxy.address, &trust.java_truststore, inherited(variable.name))
            }
        };
        Self { list: VARIABLES.iter().map(|variable| (variable.name, value(variable))).collect() }
    }

    /// Iterates over names and values, to set in a child's environment.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.list.iter().map(|(name, value)| (*name, value.as_os_str()))
    }

    /// Writes the variables as lines to paste into a POSIX shell: `export NAME='value'`.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn write_exports(&self, out: &mut impl Write) -> io::Result<()> {
        for (name, value) in self.iter() {
            write!(out, "export {name}=")?;
            // The value is written as bytes, because a path need not be UTF-8.
            out.write_all(b"'")?;
            for byte in value.as_bytes() {
                if *byte == b'\'' { out.write_all(br"'\''")? } else { out.write_all(&[*byte])? }
            }
            out.write_all(b"'\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::process::Command;

    fn environment(folder: &str) -> Environment {
        let trust = TrustFiles {
            root: format!("{folder}/roots.pem").into(),
            bundle: format!("{folder}/ca-bundle.pem").into(),
            java_truststore: format!("{folder}/truststore.jks").into(),
        };
        let inherited = |name: &str| (name == "JAVA_TOOL_OPTIONS").then(|| "-Xmx1g".into());
        Environment::new(PROXY, &trust, inherited)
    }

    const PROXY: Proxy<'_> =
        Proxy { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15001), user_information: None };

    #[test]
    fn credentials_stand_in_the_proxys_url() {
        let proxy = Proxy { user_information: Some("ci:p%40ss"), ..PROXY };
        assert_eq!(proxy.url(), "http://ci:p%40ss@127.0.0.1:15001");
    }

    #[test]
    fn the_lines_to_paste() {
        let mut lines = Vec::new();
        environment("/state").write_exports(&mut lines).unwrap();
        insta::assert_snapshot!(String::from_utf8(lines).unwrap());
    }

    #[test]
    fn a_shell_that_reads_the_lines_has_the_very_values() {
        let environment = environment("/it's a $HOME/`id`");
        let mut script = Vec::new();
        environment.write_exports(&mut script).unwrap();
        script.extend(b"printf '%s' \"$SSL_CERT_FILE\"");
        let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "/it's a $HOME/`id`/ca-bundle.pem");
    }

    #[test]
    fn no_variable_is_named_twice() {
        let names: std::collections::BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
