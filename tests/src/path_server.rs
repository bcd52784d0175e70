//! Servers in several languages. Each responds with the path that it would serve, as each of its parsers reads it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{Deadline, Process, Wire, require_program};

/// The time limit for a server's start. Java compiles its source first.
const START_SECONDS: u64 = 60;

/// A running server on a free port of 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct PathServer {
    language: &'static str,
    #[expect(dead_code, reason = "it runs as long as it is held")]
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl PathServer {
    /// Starts a server in each language.
    pub fn start_all() -> Result<Vec<Self>> {
        // The servers start in parallel, because each start is slow.
        let starts: [fn() -> Result<Self>; 6] =
            [Self::node, Self::python, Self::go, Self::java, Self::php, Self::nginx];
        let started: Vec<Result<Self>> = starts.into_iter().map(|start| start()).collect();
        started.into_iter().collect()
    }

    /// The language, such as `Node` or `Python`.
    pub fn language(&self) -> &'static str {
        self.language
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the path that each of the server's parsers reads in this target, without a gateway. A parser that
    /// refuses the target is missing; if the server refuses it, all are.
    pub fn ask(&self, target: &str) -> Result<BTreeMap<String, String>> {
        let mut wire = Wire::connect(self.address)?;
        wire.write(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"))?;
        let head = wire.expect_head()?;
        let mut content = Vec::new();
        if head.start.contains(" 200 ") {
            read_content(&mut wire, &head, &mut content)?;
        }
        Self::paths(&content)
    }

    /// Reads the paths in a response, by parser.
    pub fn paths(content: &[u8]) -> Result<BTreeMap<String, String>> {
        if content.first() != Some(&b'{') {
            // nginx has one parser, and does not write JSON.
            let path = String::from_utf8_lossy(content).into_owned();
            return Ok(BTreeMap::from([("merged".to_owned(), path)])
                .into_iter()
                .filter(|_| !content.is_empty())
                .collect());
        }
        let paths: BTreeMap<String, Option<String>> = serde_json::from_slice(content)
            .with_context(|| format!("answer `{}`", String::from_utf8_lossy(content)))?;
        Ok(paths.into_iter().filter_map(|(parser, path)| Some((parser, path?))).collect())
    }

    fn node() -> Result<Self> {
        let mut command = Process::command(require_program("node")?);
        Self::with_port_on_stdout(
            "Node",
            command.args(["-e", include_str!("../servers/node.js")]),
            TempDir::new()?,
        )
    }

    fn python() -> Result<Self> {
        let mut command = Process::command(require_program("python3")?);
        Self::with_port_on_stdout(
            "Python",
            command.args(["-c", include_str!("../servers/python.py")]),
            TempDir::new()?,
        )
    }

    fn go() -> Result<Self> {
        let directory = TempDir::new()?;
        let (source, program) = (directory.path().join("main.go"), directory.path().join("served"));
        fs::write(&source, include_str!("../servers/go/main.go"))?;
        let mut build = Command::new(require_program("go")?);
        // Go uses the installed toolchain and never downloads another. The program needs only the standard library.
        build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").current_dir(directory.path());
        let output = build.args(["build", "-o"]).arg(&program).arg(&source).output()?;
        ensure!(output.status.success(), "go build: {}", String::from_utf8_lossy(&output.stderr));
        Self::with_port_on_stdout("Go", &mut Process::command(&program), directory)
    }

    fn java() -> Result<Self> {
        let directory = TempDir::new()?;
        let source = directory.path().join("Served.java");
        fs::write(&source, include_str!("../servers/Served.java"))?;
        let mut command = Process::command(require_program("java")?);
        Self::with_port_on_stdout("Java", command.args(["-XX:TieredStopAtLevel=1"]).arg(source), directory)
    }

    fn php() -> Result<Self> {
        let directory = TempDir::new()?;
        let router = directory.path().join("php.php");
        fs::write(&router, include_str!("../servers/php.php"))?;
        let mut command = Process::command(require_program("php")?);
        let command = command.args(["-S", "127.0.0.1:0"]).arg(router).current_dir(directory.path());
        let process = Process::start("PHP", command.stdout(Stdio::null()))?;
        let address = Deadline::seconds(START_SECONDS)
            .poll("the port of PHP", || Ok(process.id().listening().unwrap_or_default().first().copied()))?;
        Ok(Self { language: "PHP", process, address, _directory: directory })
    }

    fn nginx() -> Result<Self> {
        let directory = TempDir::new()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let configuration = directory.path().join("nginx.conf");
        fs::write(&configuration, nginx_configuration(address))?;
        let mut command = Process::command(require_program("nginx")?);
        let command = command.arg("-p").arg(directory.path()).arg("-c").arg(&configuration);
        // nginx cannot listen on port 0. So it inherits a socket that is already bound, by the mechanism of its own
        // upgrades.
        let command = command.args(["-e", "stderr"]).env("NGINX", "0;").stdin(OwnedFd::from(listener));
        let process = Process::start("nginx", command.stdout(Stdio::null()))?;
        wait_for_file(&directory.path().join("nginx.pid"))?;
        Ok(Self { language: "nginx", process, address, _directory: directory })
    }

    fn with_port_on_stdout(
        language: &'static str,
        command: &mut Command,
        directory: TempDir,
    ) -> Result<Self> {
        let process = Process::start(language, command.stdout(Stdio::piped()))?;
        let what = format!("the port of {language}");
        let port = process
            .stdout()
            .wait(Deadline::seconds(START_SECONDS), &what, |lines| lines.first()?.trim().parse::<u16>().ok())
            .with_context(|| format!("stderr of {language}:\n{}", process.stderr().text()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { language, process, address, _directory: directory })
    }
}

/// Reads content that may also end with the connection.
fn read_content(wire: &mut Wire, head: &crate::Head, content: &mut Vec<u8>) -> Result<()> {
    if head.header("content-length").is_none() && head.header("transfer-encoding").is_none() {
        *content = wire.read_to_end()?;
        return Ok(());
    }
    wire.read_content(head, |piece| content.extend_from_slice(piece)).map(drop)
}

fn wait_for_file(file: &Path) -> Result<()> {
    Deadline::seconds(START_SECONDS).poll("the start of nginx", || Ok(file.exists().then_some(())))
}

fn nginx_configuration(address: SocketAddr) -> String {
    // As root, nginx's workers would run as `nobody`, who may not read the temporary folder. Other users' nginx
    // ignores the line.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    format!(
        r#"
daemon off; worker_processes 1; pid nginx.pid; {user}
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen {address};
    location / {{ return 200 $uri; }}
  }}
}}
"#
    )
}
