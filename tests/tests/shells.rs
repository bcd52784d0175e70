//! Denials and log lines in a shell: a person who pipes one to a shell runs nothing that a client chose.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::{ALPHA, Deadline, EnvoyBinary, Run, RunningGateway, ServerOptions, UpstreamHosts, Wire};

/// Programs in shell syntax, quoted and unquoted. None has a space, so that each can stand in a request line.
const PROGRAMS: [&str; 14] = [
    "`touch${IFS}canary`",
    "$(touch${IFS}canary)",
    "${x:=$(touch${IFS}canary)}",
    ";touch${IFS}canary;",
    "|touch${IFS}canary|",
    "&touch${IFS}canary&",
    "\";touch${IFS}canary;\"",
    "';touch${IFS}canary;'",
    "\\\";touch${IFS}canary;\\\"",
    "\\';touch${IFS}canary;\\'",
    ">canary",
    "<(touch${IFS}canary)",
    "}{`touch${IFS}canary`}",
    "\"}`touch${IFS}canary`{\"\u{202e}\u{2028}\u{9b}2J",
];

/// A Rego policy that repeats the path wherever it can answer a text.
const POLICY: &str = r#"
package envoy.authz

import input.attributes.request.http as request

default answer := {"allowed": true}

answer := {"allowed": false, "reason": request.path, "body": request.path} if startswith(request.path, "/said")

answer := {"allowed": false, "headers": {"x-path": request.path}} if startswith(request.path, "/head")
"#;

/// A folder in which a shell runs, with `touch` as the only program.
struct Cell {
    folder: tempfile::TempDir,
    programs: tempfile::TempDir,
}

impl Cell {
    fn new() -> Result<Self> {
        let (folder, programs) = (tempfile::tempdir()?, tempfile::tempdir()?);
        std::os::unix::fs::symlink("/bin/touch", programs.path().join("touch"))?;
        Ok(Self { folder, programs })
    }

    /// Returns the files in the folder after a shell has read the text as a program, and as a part of one.
    fn run(&self, text: &[u8]) -> Result<Vec<String>> {
        for shell in ["/bin/sh", "/bin/bash"] {
            self.shell(shell, &[], text)?;
            // This script inserts an answer without quotes, as a careless program does.
            let unquoted =
                [b"read -r text <<'END'\n".as_slice(), text, b"\nEND\neval \"x=$text\"\n"].concat();
            self.shell(shell, &[], &unquoted)?;
        }
        let left = fs::read_dir(self.folder.path())?;
        left.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn shell(&self, shell: &str, arguments: &[&str], input: &[u8]) -> Result<()> {
        let mut child = Command::new(shell)
            .args(arguments)
            .env("PATH", self.programs.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {shell}"))?;
        // A shell reads no further after an error in the syntax.
        let _ = child.stdin.take().context("no stdin")?.write_all(input);
        child.wait()?;
        Ok(())
    }
}

/// Writes requests whose parts are all programs.
fn requests(hosts: &UpstreamHosts, program: &str) -> Vec<String> {
    let (alpha, unlisted) = (hosts.plain_authority(ALPHA), "unlisted.weir.test");
    let end = "connection: close\r\n\r\n";
    vec![
        format!("GET http://{unlisted}/{program} HTTP/1.1\r\nhost: {unlisted}\r\n{end}"),
        format!("GET http://{alpha}/said{program} HTTP/1.1\r\nhost: {alpha}\r\n{end}"),
        format!("GET http://{alpha}/head{program} HTTP/1.1\r\nhost: {alpha}\r\n{end}"),
        format!("GET http://{program}/ HTTP/1.1\r\nhost: {program}\r\n{end}"),
        format!("GET http://{unlisted}/ HTTP/1.1\r\nhost: {program}\r\n{end}"),
        format!("CONNECT {program}:443 HTTP/1.1\r\nhost: {program}:443\r\n{end}"),
        format!("{program} http://{alpha}/ HTTP/1.1\r\nhost: {alpha}\r\n{end}"),
        format!("GET http://{alpha}/{program} HTTP/1.1\r\nhost: {alpha}\r\nx{program}: y\r\n{end}"),
    ]
}

fn start(envoy: &EnvoyBinary, hosts: &UpstreamHosts) -> Result<RunningGateway> {
    let document =
        format!("rego: {{policy: policy.rego, query: data.envoy.authz.answer}}\n{}", hosts.policy());
    let run = Run::new(envoy, hosts, &document)?;
    fs::write(run.policy().with_file_name("policy.rego"), POLICY)?;
    run.start()
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n'))
}

fn no_answer_and_no_line_is_a_program(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = start(envoy, &hosts)?;
    let cell = Cell::new()?;
    let mut denied = 0;
    for program in PROGRAMS {
        for request in requests(&hosts, program) {
            let mut wire = Wire::connect(gateway.address()?)?;
            wire.write(&request)?;
            let Some(head) = wire.read_head()? else { continue };
            // The upstream's own answers are outside of this property.
            if head.header("x-weir-decision").is_none() {
                continue;
            }
            let mut body = Vec::new();
            wire.read_content(&head, |piece| body.extend_from_slice(piece))?;
            denied += 1;
            let head = format!("{}\n{}", head.start, head.lines.join("\n"));
            for text in [head.as_bytes(), &body] {
                let shown = String::from_utf8_lossy(text);
                ensure!(is_plain(text), "{request}: {shown}");
                let left = cell.run(text)?;
                ensure!(left.is_empty(), "{request}: {shown}: {left:?}");
            }
        }
    }
    assert!(denied >= PROGRAMS.len() * 4, "{denied} were denied");
    Deadline::seconds(10).poll("a line for each denial", || {
        let stdout = gateway.stdout();
        let lines = stdout.lines().filter(|line| line.contains(r#""effect":"deny""#));
        Ok((lines.count() >= denied).then_some(()))
    })?;
    let stdout = gateway.stdout();
    for log in [&stdout, &gateway.stderr()] {
        for line in log.lines().filter(|line| !line.starts_with("export ")) {
            ensure!(is_plain(line.as_bytes()), "{line}");
            let left = cell.run(line.as_bytes())?;
            ensure!(left.is_empty(), "{line}: {left:?}");
        }
    }
    Ok(())
}

/// The negative control: the folder shows a program that runs.
#[test]
fn a_program_in_the_cell_runs() -> Result<()> {
    let cell = Cell::new()?;
    assert_eq!(cell.run(b"{\"path\":\"/`touch${IFS}canary`\"}")?, ["canary"]);
    assert!(Path::new("/bin/bash").exists());
    Ok(())
}

on_oldest_and_newest_envoy!(no_answer_and_no_line_is_a_program);
