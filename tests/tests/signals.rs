//! Signals: each signal that reaches `weir run` reaches its command, and a run leaves neither folders nor zombies
//! behind.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result};
use e2e::{Deadline, EnvoyBinary, Process, Run, ServerOptions, UpstreamHosts, on_terminal, wrapped};
use rustix::process::Signal;

/// Prints the signal that it got, and ends with a code of its own.
const TRAPS: &str = r#"sleep 600 & child=$!
for signal in HUP INT QUIT USR1 USR2 TERM; do trap "echo got $signal; kill $child; exit 7" $signal; done
echo started
wait"#;

fn run() -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    Ok((hosts, run))
}

/// A `weir run -- CMD` under a wrapper, whose command has reported its start.
fn started(run: &Run, wrapper: &[&str], cmd: &[&str]) -> Result<Process> {
    let mut command = run.command()?;
    command.arg("--").args(cmd);
    let mut command = wrapped(wrapper, &command);
    let process = Process::start("weir run -- CMD", command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let started = |lines: &[String]| lines.iter().any(|line| line == "started").then_some(());
    let started = process.stdout().wait(Deadline::seconds(60), "start of the command", started);
    started.with_context(|| process.stderr().text())?;
    Ok(process)
}

fn assert_nothing_left(run: &Run) -> Result<()> {
    let left: Vec<_> = fs::read_dir(run.runtime())?.collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn a_signal_sent_to_weir_alone_reaches_the_command() -> Result<()> {
    let (_hosts, run) = run()?;
    let signals = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("TERM", Signal::TERM),
    ];
    for (name, signal) in signals {
        let mut weir = started(&run, &["env", "--default-signal"], &["sh", "-c", TRAPS])?;
        weir.signal(signal)?;
        let status = weir.wait(Deadline::seconds(20))?;
        assert_eq!(status.code(), Some(7), "{name}: {status}: {}", weir.stderr().text());
        assert!(weir.stdout().text().contains(&format!("got {name}")), "{}", weir.stdout().text());
        assert_nothing_left(&run)?;
    }
    Ok(())
}

#[test]
fn a_storm_of_signals_takes_no_sigterm() -> Result<()> {
    const IGNORES: &str =
        r#"trap "" USR1 USR2 HUP; trap "exit 7" TERM; echo started; while :; do sleep 0.02; done"#;
    let (_hosts, run) = run()?;
    for burst in [60, 600, 6_000] {
        let mut weir = started(&run, &["env", "--default-signal"], &["bash", "-c", IGNORES])?;
        for number in 0..burst {
            weir.signal([Signal::USR1, Signal::USR2, Signal::HUP][number % 3])?;
        }
        weir.signal(Signal::TERM)?;
        assert_eq!(weir.wait(Deadline::seconds(20))?.code(), Some(7), "{burst}: {}", weir.stderr().text());
    }
    Ok(())
}

#[test]
fn a_stopped_command_continues_to_end() -> Result<()> {
    let (_hosts, run) = run()?;
    for (signal, code) in [(Signal::TERM, 7), (Signal::HUP, 8)] {
        let script = r#"trap "exit 7" TERM; trap "exit 8" HUP; echo started; kill -STOP $$; while :; do sleep 0.02; done"#;
        let mut weir = started(&run, &["env", "--default-signal"], &["bash", "-c", script])?;
        let bash = weir.id().descendant("bash")?;
        let stopped = || {
            let status = fs::read_to_string(format!("/proc/{}/status", bash.number()))?;
            Ok(status.contains("State:\tT").then_some(()))
        };
        Deadline::seconds(10).poll("a stopped command", stopped)?;
        weir.signal(signal)?;
        assert_eq!(weir.wait(Deadline::seconds(5))?.code(), Some(code), "{}", weir.stderr().text());
        assert_nothing_left(&run)?;
    }
    Ok(())
}

#[test]
fn a_command_that_a_passed_signal_ends_has_the_shells_exit_code() -> Result<()> {
    let (_hosts, run) = run()?;
    for signal in [Signal::HUP, Signal::QUIT] {
        let wrapper = ["env", "--default-signal"];
        let mut weir = started(&run, &wrapper, &["sh", "-c", "echo started; exec sleep 600"])?;
        weir.signal(signal)?;
        assert_eq!(weir.wait(Deadline::seconds(20))?.code(), Some(128 + signal.as_raw()));
        assert_nothing_left(&run)?;
    }
    Ok(())
}

#[test]
fn without_a_command_each_signal_is_an_orderly_end() -> Result<()> {
    let (_hosts, run) = run()?;
    for signal in [Signal::HUP, Signal::QUIT] {
        let mut command = wrapped(&["env", "--default-signal"], &run.command()?);
        let mut weir = Process::start("weir run", command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        weir.stdout().wait(Deadline::seconds(60), "ready line", |lines| {
            lines.iter().any(|line| line.starts_with("# ready")).then_some(())
        })?;
        weir.signal(signal)?;
        assert_eq!(weir.wait(Deadline::seconds(20))?.code(), Some(0));
        assert_nothing_left(&run)?;
    }
    Ok(())
}

#[test]
fn a_signal_that_weir_inherited_as_ignored_stays_ignored_for_the_command() -> Result<()> {
    let (_hosts, run) = run()?;
    let cmd = ["sh", "-c", "echo started; exec sleep 600"];
    let mut weir = started(&run, &["env", "--default-signal", "--ignore-signal=HUP"], &cmd)?;
    let sleep = Deadline::seconds(10).poll("sleep", || Ok(weir.id().descendant("sleep").ok()))?;
    for process in [&weir.id(), &sleep] {
        let status = fs::read_to_string(format!("/proc/{}/status", process.number()))?;
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).context("no SigIgn")?;
        assert_eq!(u64::from_str_radix(ignored.trim(), 16)? & 1, 1, "{ignored}");
    }
    weir.signal(Signal::HUP)?;
    weir.signal(Signal::TERM)?;
    assert_eq!(weir.wait(Deadline::seconds(20))?.code(), Some(128 + Signal::TERM.as_raw()));
    Ok(())
}

#[test]
fn a_terminals_interrupt_reaches_the_command_once() -> Result<()> {
    const ASKS: &str = "trap 'echo got' INT; echo started; until read line; do :; done; exit 5";
    let (_hosts, run) = run()?;
    let mut command = run.command()?;
    command.arg("--").args(["sh", "-c", ASKS]);
    let mut terminal = wrapped(&["env", "--default-signal"], &on_terminal(&command)?);
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start("script", &mut terminal)?;
    let mut keys = process.take_stdin().context("no stdin")?;
    let wait = |what: &str| {
        process.stdout().wait(Deadline::seconds(60), what, |lines| {
            lines.iter().any(|line| line.contains(what)).then_some(())
        })
    };
    wait("started")?;
    keys.write_all(b"\x03")?;
    wait("got")?;
    keys.write_all(b"over\n")?;
    let status = process.wait(Deadline::seconds(20))?;
    let said = process.stdout().text();
    assert_eq!((status.code(), said.matches("got").count()), (Some(5), 1), "{said}");
    assert_nothing_left(&run)
}

#[test]
fn as_process_1_it_waits_for_orphans() -> Result<()> {
    // A zombie that no parent waits for stays in /proc.
    const ORPHANS: &str = r#"file=$0
gone() { for i in $(cat "$file"); do [ ! -e "/proc/$i" ] || return 1; done; }
for i in 1 2 3; do (sh -c 'echo $$ >> "$0"' "$file" &); done
tries=0
until [ "$(wc -l < "$file")" = 3 ] && gone; do
    tries=$((tries + 1)); [ $tries -lt 200 ] || exit 9; sleep 0.05
done
echo "weir is process $PPID"
exit 3"#;
    let (_hosts, run) = run()?;
    let numbers = run.state().with_file_name("numbers");
    File::create(&numbers)?;
    let mut command = run.command()?;
    command.args(["--", "sh", "-c", ORPHANS]).arg(&numbers);
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let output = wrapped(&unshare, &command).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("weir is process 1\n"), "{said}");
    assert_nothing_left(&run)
}

#[test]
fn a_folder_that_a_killed_run_left_is_removed_by_the_next() -> Result<()> {
    let (_hosts, run) = run()?;
    let mut weir = run.spawn(["sh", "-c", "echo started; exec sleep 600"])?;
    let mut killed = run.spawn(["sh", "-c", "echo started; exec sleep 600"])?;
    for process in [&weir, &killed] {
        let started = |lines: &[String]| lines.iter().any(|line| line == "started").then_some(());
        process.stdout().wait(Deadline::seconds(60), "start of the command", started)?;
    }
    killed.signal(Signal::KILL)?;
    killed.wait(Deadline::seconds(15))?;
    assert_eq!(fs::read_dir(run.runtime())?.count(), 2);
    assert_eq!(run.output(["true"])?.status.code(), Some(0));
    assert_eq!(fs::read_dir(run.runtime())?.count(), 1, "that of the other run stays");
    weir.signal(Signal::TERM)?;
    weir.wait(Deadline::seconds(15))?;
    assert_nothing_left(&run)
}

#[test]
fn a_start_that_waits_for_the_state_folder_names_the_holder_and_ends_on_a_signal() -> Result<()> {
    let (_hosts, run) = run()?;
    assert_eq!(run.output(["true"])?.status.code(), Some(0));
    let lock = File::options().write(true).open(run.state().join("lock"))?;
    lock.lock()?;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut command = run.command()?;
        command.args(["--", "echo", "the command ran"]).stdout(Stdio::piped());
        let mut command = wrapped(&["env", "--default-signal"], &command);
        let mut weir = Process::start("weir run", command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let holder = format!("(process {}) holds the lock `", std::process::id());
        weir.stderr().wait(Deadline::seconds(60), "a warning", |lines| {
            lines.iter().any(|line| line.contains(&holder)).then_some(())
        })?;
        weir.signal(signal)?;
        assert_eq!(weir.wait(Deadline::seconds(10))?.code(), Some(128 + signal.as_raw()));
        assert_eq!(weir.stdout().text(), "");
        assert_nothing_left(&run)?;
    }
    Ok(())
}
