//! Outputs that block or are closed: Weir enforces edits, SIGTERM ends it, and it keeps the command's exit code.

use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, Process, ProcessId, Run, ServerOptions, UpstreamHosts, Wire,
    on_terminal, weir_command,
};
use rustix::process::Signal;

/// The number of requests, each with a path of more than 1,000 bytes. Their lines exceed the capacity of a pipe (64
/// KiB, pipe(7)) and of Weir's queue (1 MiB).
const TOO_MANY: usize = 2_000;

fn run() -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    Ok((hosts, run))
}

/// Sends denied requests one after the other.
fn flood(proxy: SocketAddr, count: usize) -> Result<()> {
    send_to(proxy, "denied.weir.test", " 403 ", count)
}

/// Sends requests one after the other that Weir forwards. Each has a line of its own, whereas Weir only counts denials
/// that come fast.
fn flood_forwarded(proxy: SocketAddr, hosts: &UpstreamHosts, count: usize) -> Result<()> {
    send_to(proxy, &hosts.plain_authority(ALPHA), " 200 ", count)
}

fn send_to(proxy: SocketAddr, authority: &str, status: &str, count: usize) -> Result<()> {
    let mut wire = Wire::connect(proxy)?;
    let path = "x".repeat(1_000);
    for number in 0..count {
        wire.write(format!("GET http://{authority}/{number}/{path} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))?;
        let head = wire.expect_head()?;
        ensure!(head.start.contains(status), "{head:?}");
        wire.read_content(&head, |_| ())?;
    }
    Ok(())
}

/// Reads the lines up to the one with the phase `ready`, and no further. Returns the proxy's address.
fn ready(stdout: &mut PipeReader) -> Result<(SocketAddr, String)> {
    let mut text = String::new();
    while !text.ends_with('\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).with_context(|| format!("before it was ready: {text}"))?;
        text.push(char::from(byte[0]));
    }
    let exported = |name: &str| {
        let found = e2e::exports(&text)?.into_iter().find(|(exported, _)| exported == name);
        found.map(|(_, value)| value)
    };
    let both = exported("HTTPS_PROXY").zip(exported("CURL_CA_BUNDLE"));
    let (proxy, authority) = both.with_context(|| format!("no variables: {text}"))?;
    Ok((proxy.trim_start_matches("http://").parse()?, authority))
}

fn refuses_beta(hosts: &UpstreamHosts, run: &Run, proxy: SocketAddr, authority: &str) -> Result<()> {
    let client = Client::through(&format!("http://{proxy}")).trusting(authority.as_ref());
    let beta = hosts.url(BETA, "/");
    ensure!(client.get(beta.clone())?.status == 200, "it is not allowed at first");
    run.write_policy(&hosts.policy().replace(BETA, "elsewhere.weir.test"))?;
    Deadline::seconds(10)
        .poll_eq("the refusal of what an edit took out", &403, || Ok(client.get(beta.clone())?.status))
}

#[test]
fn a_stdout_that_nobody_reads_keeps_no_edit_and_no_end_away() -> Result<()> {
    let (hosts, run) = run()?;
    let (mut reader, writer) = pipe()?;
    let mut command = run.command()?;
    command.arg("--json").stdout(writer);
    let mut weir = Process::start("weir run", &mut command)?;
    drop(command);
    let (proxy, authority) = ready(&mut reader)?;
    flood_forwarded(proxy, &hosts, TOO_MANY)?;
    refuses_beta(&hosts, &run, proxy, &authority)?;
    Deadline::seconds(5).poll("word on stderr", || {
        Ok(weir.stderr().text().contains("lines for stdout are dropped").then_some(()))
    })?;
    weir.signal(Signal::TERM)?;
    let status = weir.wait(Deadline::seconds(10))?;
    assert_eq!(status.code(), Some(0), "{}", weir.stderr().text());
    Ok(())
}

#[test]
fn what_was_dropped_is_told_when_a_reader_comes_back() -> Result<()> {
    let (hosts, run) = run()?;
    let (mut reader, writer) = pipe()?;
    let mut command = run.command()?;
    command.arg("--json").stdout(writer);
    let weir = Process::start("weir run", &mut command)?;
    drop(command);
    let (proxy, _) = ready(&mut reader)?;
    flood_forwarded(proxy, &hosts, TOO_MANY)?;
    // The last decisions may arrive after the answers.
    Deadline::seconds(20).poll("word on stderr", || {
        Ok(weir.stderr().text().contains("lines for stdout are dropped").then_some(()))
    })?;
    let lines = e2e::Lines::read_from(reader);
    let told = |lines: &[String]| -> (u64, u64) {
        // The wait calls this for each new line, so it parses only the reports.
        let (dropped, printed): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line.starts_with(r#"{"phase":"dropped""#));
        let counts = dropped.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        (printed.len() as u64, counts.filter_map(|report| report["count"].as_u64()).sum())
    };
    lines.wait(Deadline::seconds(20), "every line or the number of it", |lines| {
        let (printed, dropped) = told(lines);
        (dropped > 0 && printed + dropped == TOO_MANY as u64).then_some(())
    })
}

/// Starts `weir run` with a command that prints the proxy's address, and ends with 7 when its standard input ends.
fn with_command(run: &Run, stderr: impl Into<Stdio>) -> Result<(std::process::Child, SocketAddr)> {
    let mut command = run.command()?;
    command.args(["--", "sh", "-c", "echo $HTTPS_PROXY; read _; exit 7"]);
    let mut weir = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
    let mut stdout = weir.stdout.take().context("no stdout")?;
    let mut line = String::new();
    while !line.ends_with('\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte)?;
        line.push(char::from(byte[0]));
    }
    Ok((weir, line.trim_end().trim_start_matches("http://").parse()?))
}

/// Ends the command, and waits for `weir`.
fn end(mut weir: std::process::Child) -> Result<Option<i32>> {
    weir.stdin.take().context("no stdin")?.write_all(b"\n")?;
    let status = Deadline::seconds(10).poll("end of weir", || Ok(weir.try_wait()?));
    if status.is_err() {
        weir.kill()?;
    }
    Ok(status?.code())
}

#[test]
fn a_stderr_that_nobody_reads_keeps_no_edit_and_no_exit_code_away() -> Result<()> {
    let (hosts, run) = run()?;
    let (_reader, writer) = pipe()?;
    let (weir, proxy) = with_command(&run, writer)?;
    flood(proxy, TOO_MANY)?;
    let authority = run.state().join("ca-bundle.pem").display().to_string();
    let refused = refuses_beta(&hosts, &run, proxy, &authority);
    assert_eq!(end(weir)?, Some(7));
    refused
}

#[test]
fn a_stderr_that_is_closed_or_full_leaves_the_commands_exit_code() -> Result<()> {
    for full in [false, true] {
        let (_hosts, run) = run()?;
        let stderr: Stdio =
            if full { File::options().write(true).open("/dev/full")?.into() } else { pipe()?.1.into() };
        let (weir, proxy) = with_command(&run, stderr)?;
        flood(proxy, 10)?;
        assert_eq!(end(weir)?, Some(7), "full: {full}");
    }
    Ok(())
}

#[test]
fn a_stopped_terminal_keeps_no_edit_and_no_end_away() -> Result<()> {
    let (hosts, run) = run()?;
    let mut line = run.command()?;
    line.arg("--json");
    let mut terminal = on_terminal(&line)?;
    let (mut screen, stdout) = pipe()?;
    let (keyboard, mut keys) = pipe()?;
    let script = Process::start("script", terminal.stdin(keyboard).stdout(stdout))?;
    drop(terminal);
    // A terminal adds a carriage return to the end of each line.
    let (proxy, authority) = ready(&mut screen)?;
    let weir = script.id().descendant("weir")?;
    // The character is Ctrl-S.
    keys.write_all(b"\x13")?;
    flood(proxy, TOO_MANY)?;
    refuses_beta(&hosts, &run, proxy, &authority)?;
    weir.signal(Signal::TERM)?;
    ends(&weir)
}

fn ends(weir: &ProcessId) -> Result<()> {
    Deadline::seconds(10).poll("end of weir", || Ok((!weir.is_running()).then_some(())))
}

#[test]
fn sigterm_ends_weir_while_clients_go_on() -> Result<()> {
    let (_hosts, run) = run()?;
    let mut gateway = run.start()?;
    let (address, over) = (gateway.address()?, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut answered = 0;
            while !over.load(Ordering::SeqCst) {
                // At the end, Envoy no longer answers.
                answered += usize::from(flood(address, 10).is_ok());
            }
            answered
        });
        Deadline::seconds(20)
            .poll("decisions", || Ok((gateway.stdout().lines().count() > 100).then_some(())))?;
        gateway.signal(Signal::TERM)?;
        let status = gateway.wait(Deadline::seconds(10));
        over.store(true, Ordering::SeqCst);
        ensure!(clients.join().is_ok_and(|answered| answered > 0), "no client was answered");
        assert_eq!(status?.code(), Some(0));
        Ok(())
    })
}

#[test]
fn a_reader_that_closes_leaves_the_exit_code_of_every_command() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let (good, bad) = (folder.path().join("good.yaml"), folder.path().join("bad.yaml"));
    std::fs::write(&good, "allowed_domains: [a.example]\n")?;
    std::fs::write(&bad, "rules: [{}]\n")?;
    let [good, bad] = [good, bad].map(|path| path.display().to_string());
    let state = folder.path().join("state").display().to_string();
    let cases: [(&[&str], i32); 7] = [
        (&["check", &good], 0),
        (&["check", &bad], 3),
        (&["explain", "--policy", &good, "GET", "https://a.example/"], 0),
        (&["explain", "--policy", &good, "GET", "https://b.example/"], 2),
        (&["ca", "show", "--state", &state], 0),
        (&["redirect", "nft", "--uid", "1"], 0),
        (&["--help"], 0),
    ];
    let closed = || -> Result<Stdio> { Ok(pipe()?.1.into()) };
    for (arguments, code) in cases {
        let output = weir_command()?.args(arguments).stdout(closed()?).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("roken pipe"), "{stderr}");
        let output = weir_command()?.args(arguments).stdout(closed()?).stderr(closed()?).output()?;
        assert_eq!(output.status.code(), Some(code), "{arguments:?} without stderr");
    }
    let mut full: Command = weir_command()?;
    let full = full.args(["ca", "show", "--state", &state]);
    let output = full.stdout(File::options().write(true).open("/dev/full")?).output()?;
    assert_eq!(output.status.code(), Some(1), "what is lost is a failure");
    Ok(())
}
