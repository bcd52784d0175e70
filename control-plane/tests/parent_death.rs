//! Tests of `ChildProcess` from outside: this program starts itself as a parent, kills the parent, and looks for
//! children.
//!
//! The program has its own `main`, because the parent-death wrapper runs the program again with arguments that
//! libtest's `main` does not know.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use weir::process::parent_death::{self, ParentDeathSignal};
use weir::process::{ChildProcess, exit_code};

/// The soft limit of open files that each child gets.
const OPEN_FILES: u64 = 200;
const DEADLINE: Duration = Duration::from_secs(20);

fn main() {
    parent_death::run_if_asked();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("parent-that-kills") => runtime.block_on(parent(ParentDeathSignal::Kill)),
        Some("parent-that-terminates") => runtime.block_on(parent(ParentDeathSignal::Terminate)),
        _ => {
            if cfg!(target_os = "linux") {
                a_child_ends_when_its_parent_is_killed("parent-that-kills");
                a_child_ends_when_its_parent_is_killed("parent-that-terminates");
                nothing_runs_when_the_parent_has_already_gone();
            }
            runtime.block_on(async {
                the_exit_code_is_the_programs_own().await;
                a_child_has_the_limit_of_open_files_that_it_was_given().await;
                a_program_that_is_not_there_is_127().await;
                arguments_and_environment_arrive_byte_for_byte().await;
                a_child_that_ignores_the_request_to_end_is_killed().await;
            });
        }
    }
}

/// Starts a child that holds this process's stdout open, reports it, and waits for the child.
async fn parent(parent_death: ParentDeathSignal) {
    let mut command = parent_death::command("sh", parent_death, OPEN_FILES);
    command.args(["-c", "echo ready; exec sleep 1000"]);
    ChildProcess::spawn(command).unwrap().wait().await.unwrap();
}

fn a_child_ends_when_its_parent_is_killed(parent: &str) {
    let mut parent =
        Command::new(std::env::current_exe().unwrap()).arg(parent).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    parent.kill().unwrap();
    parent.wait().unwrap();
    // The pipe ends when neither the parent nor its child holds it.
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(output.read_to_end(&mut Vec::new())));
    end.recv_timeout(DEADLINE).expect("the child outlived its parent").unwrap();
}

fn nothing_runs_when_the_parent_has_already_gone() {
    let another = std::process::id() + 1;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["exec-with-parent", &another.to_string(), "kill", "256", "--", "echo", "ran"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(output.stdout.is_empty());
}

async fn a_child_has_the_limit_of_open_files_that_it_was_given() {
    let hard = weir::envoy::capacity::open_files::OpenFiles::read().hard;
    let mut command = parent_death::command("sh", ParentDeathSignal::Terminate, OPEN_FILES);
    let output = command.args(["-c", "ulimit -Sn; ulimit -Hn"]).output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{OPEN_FILES}\n{hard}\n"));
}

async fn the_exit_code_is_the_programs_own() {
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("true", 0)] {
        let mut command = parent_death::command("sh", ParentDeathSignal::Terminate, OPEN_FILES);
        command.args(["-c", script]);
        let status = ChildProcess::spawn(command).unwrap().wait().await.unwrap();
        assert_eq!(exit_code(status), code, "{script}");
    }
}

async fn a_program_that_is_not_there_is_127() {
    if cfg!(target_os = "linux") {
        let mut command = parent_death::command("no-such-program", ParentDeathSignal::Terminate, OPEN_FILES);
        command.stderr(Stdio::null());
        let status = ChildProcess::spawn(command).unwrap().wait().await.unwrap();
        assert_eq!(exit_code(status), 127);
    }
}

async fn arguments_and_environment_arrive_byte_for_byte() {
    let odd = std::ffi::OsStr::from_bytes(b"a b\xFF'\"--");
    let mut command = parent_death::command("sh", ParentDeathSignal::Terminate, OPEN_FILES);
    command.args(["-c", "printf '%s|%s' \"$1\" \"$ODD\"", "--"]).arg(odd).env("ODD", odd);
    let output = command.output().await.unwrap();
    assert_eq!(output.stdout, [odd.as_bytes(), b"|", odd.as_bytes()].concat());
}

async fn a_child_that_ignores_the_request_to_end_is_killed() {
    let mut command = parent_death::command("sh", ParentDeathSignal::Kill, OPEN_FILES);
    command.args(["-c", "trap '' TERM; echo ready; exec sleep 1000"]).stdout(Stdio::piped());
    let mut child = ChildProcess::spawn(command).unwrap();
    let mut output = tokio::io::BufReader::new(child.child().stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut output, &mut line).await.unwrap();
    let status =
        tokio::time::timeout(DEADLINE, child.terminate(Duration::from_millis(50))).await.unwrap().unwrap();
    assert_eq!(exit_code(status), 137);
}
