//! A git server other than GitHub, with the policy of `examples/git`: git clones and fetches through Weir, and cannot
//! push.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::{
    EnvoyBinary, Front, Head, ORIGIN, Origin, Run, ServerOptions, UpstreamHosts, Wire, require_program,
};
use tempfile::TempDir;

const POLICY: &str = include_str!("../../examples/git/policy.yaml");

/// Answers a request with `git http-backend`, which is a CGI program (RFC 3875).
fn backend(root: &Path, head: &Head, wire: &mut Wire) -> Result<()> {
    let mut words = head.start.split(' ');
    let (method, target) = (words.next().context("no method")?, words.next().context("no target")?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut content = Vec::new();
    wire.read_content(head, |piece| content.extend_from_slice(piece))?;
    let mut command = Command::new(require_program("git")?);
    command.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("REQUEST_METHOD", method).env("PATH_INFO", path).env("QUERY_STRING", query);
    // This server allows everybody to push.
    command.env("REMOTE_USER", "anybody").env("REMOTE_ADDR", "127.0.0.1");
    command.env("CONTENT_LENGTH", content.len().to_string());
    let variables = [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ];
    for (header, variable) in variables {
        command.env(variable, head.header(header).unwrap_or_default());
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    // The backend may end before it has read everything.
    child.stdin.take().context("no stdin")?.write_all(&content).ok();
    let output = child.wait_with_output()?.stdout;
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no head")?;
    let (fields, content) = (String::from_utf8(output[..end].to_vec())?, &output[end + 4..]);
    let status = fields.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let fields: String = fields
        .lines()
        .filter(|line| !line.starts_with("Status: "))
        .map(|line| format!("{line}\r\n"))
        .collect();
    wire.write(format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", content.len()))?;
    wire.write(content)
}

fn git(command: &mut Command) -> &mut Command {
    let settings = ["user.name=Weir", "user.email=weir@weir.test", "init.defaultBranch=main"];
    settings.iter().fold(command, |command, setting| command.args(["-c", setting]))
}

fn local(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(require_program("git")?);
    let output = git(&mut command).args(arguments).current_dir(folder).output()?;
    ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn git_reads_a_server_that_is_not_github_and_cannot_push(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let folder = TempDir::new()?;
    let (root, source) = (folder.path().join("root"), folder.path().join("source"));
    fs::create_dir_all(root.join("team"))?;
    local(folder.path(), &["init", "--quiet", "source"])?;
    let commit = |content: &str| -> Result<()> {
        fs::write(source.join("hello"), content)?;
        local(&source, &["add", "hello"])?;
        local(&source, &["commit", "--quiet", "--message", "Say hello"])
    };
    commit("hello\n")?;
    local(folder.path(), &["clone", "--quiet", "--bare", "source", "root/team/app.git"])?;
    let served = root.clone();
    let origin = Origin::start(&hosts, Front::Http1, move |head, wire| backend(&served, head, wire))?;
    let listed = format!("hosts: [{ORIGIN}]\n    ports: [{}]", origin.port());
    let policy =
        POLICY.replace("hosts: [git.example.internal]", &listed).replace("10.20.0.0/16", "127.0.0.0/8");
    let run = Run::new(envoy, &hosts, &policy)?;
    let clone = folder.path().join("clone");
    let remote = |arguments: &[&str]| {
        let mut command = vec!["git".to_owned()];
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        run.output(command)
    };
    let path = clone.to_str().context("the path is not UTF-8")?;
    let output = remote(&["clone", "--quiet", &origin.url("/team/app.git"), path])?;
    ensure!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(clone.join("hello"))?, "hello\n");

    commit("hello again\n")?;
    local(&source, &["push", "--quiet", "../root/team/app.git", "HEAD"])?;
    let output = remote(&["-C", path, "pull", "--quiet"])?;
    ensure!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(clone.join("hello"))?, "hello again\n");

    fs::write(clone.join("hello"), "changed\n")?;
    local(&clone, &["commit", "--quiet", "--all", "--message", "Change"])?;
    let output = remote(&["-C", path, "push", "--quiet"])?;
    assert!(!output.status.success(), "a push went through");
    assert!(said(&output).contains("403") && said(&output).contains("path_not_allowed"), "{}", said(&output));
    Ok(())
}

on_oldest_and_newest_envoy!(git_reads_a_server_that_is_not_github_and_cannot_push);
