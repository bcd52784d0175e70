//! The real curl through a proxy, and its results.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::require_program;

/// The time limit of one request, in seconds.
const LIMIT: &str = "30";

/// A way to run curl: its proxy, its roots and its addresses. curl reads neither the environment nor a configuration
/// file.
#[derive(Clone, Debug, Default)]
pub struct Client {
    proxy: Option<String>,
    authority: Option<PathBuf>,
    socket: Option<PathBuf>,
    server: Option<String>,
    insecure: bool,
    user: Option<u32>,
    credentials: Option<String>,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// One request, made by [`Request::get`] and changed field by field.
#[derive(Clone, Debug)]
pub struct Request {
    /// The absolute URL, sent as written (no dot segments removed).
    pub url: String,
    /// The method; HEAD expects no content.
    pub method: String,
    /// Header lines (`Name: value`), raw bytes.
    pub headers: Vec<Vec<u8>>,
    /// The content to send.
    pub content: Option<String>,
    /// The version of HTTP to ask the server for.
    pub version: HttpVersion,
}

/// The protocols that curl speaks, or offers by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 only.
    Http1,
    /// h2, or HTTP/1.1 if the server has no h2.
    Http2,
    /// HTTP/2 without TLS, with prior knowledge.
    Http2Only,
}

impl Request {
    /// A GET of this URL over HTTP/1.1.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            content: None,
            version: HttpVersion::Http1,
        }
    }

    /// Sets the method.
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Adds a header line.
    pub fn header(mut self, line: impl Into<Vec<u8>>) -> Self {
        self.headers.push(line.into());
        self
    }

    /// Offers h2.
    pub fn http2(mut self) -> Self {
        self.version = HttpVersion::Http2;
        self
    }
}

/// The result of one request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status of the server's response, 0 if there was none.
    pub status: u16,
    /// The status of the proxy's response to CONNECT, 0 if there was none.
    pub connect_status: u16,
    /// The HTTP version: `1.1` or `2`, `0` if there was no response.
    pub version: String,
    /// The headers of the last response, names in lower case.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The content of the response.
    pub content: String,
    /// curl's exit code for this transfer.
    pub exit_code: i32,
    /// curl's message, empty if all went well.
    pub error: String,
    /// The number of connections that curl opened for the request; 0 means that it reused an earlier one.
    pub connections: u32,
}

impl Response {
    /// The first value of this header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.first().map(String::as_str)
    }

    /// The content as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.content).with_context(|| format!("the content is not JSON: {self:?}"))
    }
}

/// The fields that the tests use of curl's `%{json}`.
#[derive(Deserialize)]
struct Transfer {
    http_code: u16,
    http_connect: u16,
    http_version: String,
    exitcode: i32,
    errormsg: Option<String>,
    num_connects: u32,
    urlnum: usize,
}

impl Client {
    /// A client without a proxy.
    pub fn direct() -> Self {
        Self::default()
    }

    /// A client that uses this proxy for http and https URLs.
    pub fn through(proxy: &str) -> Self {
        Self { proxy: Some(proxy.to_owned()), ..Self::default() }
    }

    /// A client that connects to this Unix socket, whatever the URL names.
    pub fn on_socket(socket: &Path) -> Self {
        Self { socket: Some(socket.to_owned()), ..Self::default() }
    }

    /// Connects to this `HOST:PORT`, or asks the proxy to, whatever the URL names.
    pub fn connecting_to(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Accepts any certificate.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Trusts only the roots of this file.
    pub fn trusting(mut self, roots: &Path) -> Self {
        self.authority = Some(roots.to_owned());
        self
    }

    /// Presents this certificate, with its key, to servers that request one.
    pub fn presenting(mut self, certificate: &Path, key: &Path) -> Self {
        self.certificate = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// Sends this `USER:PASSWORD` to a proxy that requires credentials.
    pub fn with_credentials(mut self, credentials: &str) -> Self {
        self.credentials = Some(credentials.to_owned());
        self
    }

    /// Runs curl as another user, which needs root.
    pub fn of_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// GETs one URL.
    pub fn get(&self, url: impl Into<String>) -> Result<Response> {
        self.send(&Request::get(url))
    }

    /// Sends one request.
    pub fn send(&self, request: &Request) -> Result<Response> {
        let mut responses = self.send_all(std::slice::from_ref(request))?;
        responses.pop().context("curl reported no transfer")
    }

    /// Sends the requests one after the other with one curl, which reuses connections where it may.
    pub fn send_all(&self, requests: &[Request]) -> Result<Vec<Response>> {
        self.transfer(requests, &[])
    }

    /// Sends the requests with one curl, at most `most` at a time, each over a connection of its own.
    pub fn send_at_once(&self, requests: &[Request], most: usize) -> Result<Vec<Response>> {
        let most = most.to_string();
        self.transfer(requests, &["--parallel", "--parallel-immediate", "--parallel-max", &most])
    }

    fn transfer(&self, requests: &[Request], options: &[&str]) -> Result<Vec<Response>> {
        let directory = TempDir::new()?;
        let mut client = self.clone();
        let mut command =
            Command::new(require_program(if self.user.is_some() { "setpriv" } else { "curl" })?);
        if let Some(uid) = self.user {
            let uid = uid.to_string();
            command
                .args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"])
                .arg(require_program("curl")?);
            client.authority =
                self.authority.as_deref().map(|file| hand_over(file, &directory)).transpose()?;
        }
        command.env_clear().arg("--disable").args(options);
        for (index, request) in requests.iter().enumerate() {
            if index > 0 {
                command.arg("--next");
            }
            client.add(&mut command, request, &content_file(&directory, index));
        }
        let output = command.output().context("cannot run curl")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let mut values =
            serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
        // Parallel transfers are printed in the order in which they end.
        let mut responses = BTreeMap::new();
        while let (Some(transfer), Some(headers)) = (values.next(), values.next()) {
            let transfer: Transfer = serde_json::from_value(transfer?)?;
            let headers = serde_json::from_value(headers?)?;
            let content = fs::read(content_file(&directory, transfer.urlnum)).unwrap_or_default();
            let response = Response {
                status: transfer.http_code,
                connect_status: transfer.http_connect,
                version: transfer.http_version,
                headers,
                content: String::from_utf8_lossy(&content).into_owned(),
                exit_code: transfer.exitcode,
                error: transfer.errormsg.unwrap_or_default(),
                connections: transfer.num_connects,
            };
            responses.insert(transfer.urlnum, response);
        }
        ensure!(
            responses.len() == requests.len(),
            "curl reported {} of {} transfers: {stderr}",
            responses.len(),
            requests.len()
        );
        Ok(responses.into_values().collect())
    }

    /// Adds one transfer. curl forgets most options after `--next`, so each transfer gets them all.
    fn add(&self, command: &mut Command, request: &Request, content: &Path) {
        command.args(["--silent", "--show-error", "--path-as-is", "--globoff", "--max-time", LIMIT]);
        command.args(["--write-out", "%{json}\n%{header_json}\n", "--output"]).arg(content);
        if let Some(proxy) = &self.proxy {
            command.args(["--proxy", proxy]);
        }
        if let Some(credentials) = &self.credentials {
            command.args(["--proxy-user", credentials]);
        }
        if let Some(socket) = &self.socket {
            command.arg("--unix-socket").arg(socket);
        }
        if let Some(server) = &self.server {
            command.args(["--connect-to", &format!("::{server}")]);
        }
        if let Some(authority) = &self.authority {
            command.arg("--cacert").arg(authority).args(["--capath", "/dev/null"]);
        }
        if let Some((certificate, key)) = &self.certificate {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        if self.insecure {
            command.arg("--insecure");
        }
        match request.method.as_str() {
            "GET" => {}
            "HEAD" => drop(command.arg("--head")),
            method => drop(command.args(["--request", method])),
        }
        for header in &request.headers {
            command.arg("--header").arg(OsString::from_vec(header.clone()));
        }
        if let Some(data) = &request.content {
            command.args(["--data-binary", data]);
        }
        command.arg(match request.version {
            HttpVersion::Http1 => "--http1.1",
            HttpVersion::Http2 => "--http2",
            HttpVersion::Http2Only => "--http2-prior-knowledge",
        });
        command.arg("--url").arg(OsStr::new(&request.url));
    }
}

/// Copies a file into the folder, readable by every user, who may also write beside it.
fn hand_over(file: &Path, directory: &TempDir) -> Result<PathBuf> {
    let copy = directory.path().join("authority");
    fs::copy(file, &copy).with_context(|| format!("cannot copy `{}`", file.display()))?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777))?;
    Ok(copy)
}

fn content_file(directory: &TempDir, index: usize) -> PathBuf {
    directory.path().join(index.to_string())
}
