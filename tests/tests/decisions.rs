//! The decisions that `weir run` prints, and the stream that gets them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::{ALPHA, EnvoyBinary, Process, Run, ServerOptions, UNLISTED, UpstreamHosts, on_terminal};
use rustix::process::Signal;
use serde_json::Value;

fn start(envoy: &EnvoyBinary, mode: &str) -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(envoy, &hosts, &format!("mode: {mode}\n{}", hosts.policy()))?;
    Ok((hosts, run))
}

/// A shell line that sends an allowed request and two that no rule allows.
fn requests(hosts: &UpstreamHosts) -> String {
    let curl = "curl --disable -sS -o /dev/null";
    let (allowed, denied) = (hosts.url(ALPHA, "/?secret=1"), hosts.url(UNLISTED, "/"));
    format!("{curl} '{allowed}'; {curl} -X POST '{allowed}'; {curl} '{denied}' || :; echo over")
}

fn run_with(run: &Run, options: &[&str], script: &str) -> Result<Output> {
    let mut command = run.command()?;
    let output = command.args(options).args(["--", "sh", "-c", script]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

fn file(run: &Run) -> PathBuf {
    run.state().with_file_name("decisions.jsonl")
}

fn objects(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
}

fn assert_three_decisions(lines: &[Value]) {
    let effects: Vec<_> = lines.iter().map(|line| line["effect"].as_str().unwrap_or_default()).collect();
    assert_eq!(effects.iter().filter(|effect| **effect == "allow").count(), 1, "{lines:#?}");
    assert_eq!(effects.iter().filter(|effect| **effect == "deny").count(), 2, "{lines:#?}");
    let keys: BTreeSet<Vec<&String>> =
        lines.iter().filter_map(|line| Some(line.as_object()?.keys().collect())).collect();
    assert_eq!(keys.len(), 1, "every line has the same fields: {keys:#?}");
    assert!(
        lines.iter().all(|line| line["phase"] == "end" && !line.to_string().contains("secret")),
        "{lines:#?}"
    );
}

fn the_file_has_every_decision_and_is_its_owners_alone(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy, "enforce")?;
    let path = file(&run);
    let option = ["--decisions", path.to_str().context("no text")?];
    let output = run_with(&run, &option, &requests(&hosts))?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "over\n", "stdout is the command's alone");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("weir: deny").count(), 2, "{said}");
    assert_three_decisions(&objects(&fs::read_to_string(&path)?)?);
    assert_eq!(path.metadata()?.permissions().mode() & 0o7777, 0o600);
    // A later run appends.
    run_with(&run, &option, &requests(&hosts))?;
    assert_eq!(objects(&fs::read_to_string(&path)?)?.len(), 6);
    Ok(())
}

fn with_json_every_decision_is_an_object_beside_the_command(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy, "enforce")?;
    let output = run_with(&run, &["--json"], &requests(&hosts))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let decisions: Vec<_> = said.lines().filter(|line| line.starts_with('{')).collect();
    assert_three_decisions(&objects(&decisions.join("\n"))?);
    assert!(!said.contains("denied:"), "a summary is for a person: {said}");
    Ok(())
}

fn a_summary_follows_the_command(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy, "enforce")?;
    let output = run_with(&run, &[], &requests(&hosts))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("weir: 2 denied: 1 "), "{said}");
    assert!(last.contains(&format!("POST {ALPHA}")) && last.contains("(method_not_allowed)"), "{said}");
    let quiet = run_with(&run, &["--quiet"], &requests(&hosts))?;
    let said = String::from_utf8_lossy(&quiet.stderr);
    assert!(!said.contains("deny") && !said.contains("denied"), "{said}");
    Ok(())
}

fn a_policy_that_is_tried_out_tells_what_it_would_deny_beside_a_command(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, run) = start(envoy, "report")?;
    let output = run_with(&run, &[], &requests(&hosts))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("would be denied: method_not_allowed"), "{said}");
    assert!(said.lines().last().is_some_and(|last| last.contains(" would be denied: ")), "{said}");
    let (hosts, run) = start(envoy, "open")?;
    let output = run_with(&run, &[], &requests(&hosts))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("open_mode"), "{said}");
    Ok(())
}

#[test]
fn without_a_command_json_is_all_that_stdout_has() -> Result<()> {
    let (hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let mut gateway = run.start()?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    gateway.decisions(1)?;
    gateway.stop()?;
    let lines = objects(&gateway.stdout())?;
    assert_eq!(lines.iter().map(|line| &line["phase"]).collect::<Vec<_>>(), ["ready", "end"]);
    Ok(())
}

#[test]
fn decisions_on_stdout_leave_the_variables_to_stderr() -> Result<()> {
    let (_hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let mut command = run.command()?;
    let mut weir = Process::start("weir run", command.args(["--decisions", "-"]).stdout(Stdio::piped()))?;
    weir.stderr().wait(e2e::Deadline::seconds(60), "ready line", |lines| {
        lines.iter().any(|line| line.starts_with("# ready")).then_some(())
    })?;
    weir.signal(Signal::TERM)?;
    weir.wait(e2e::Deadline::seconds(15))?;
    assert!(weir.stderr().text().contains("export HTTPS_PROXY="), "{}", weir.stderr().text());
    assert_eq!(weir.stdout().text(), "");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_named() -> Result<()> {
    let (_hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let mut command = run.command()?;
    let output = command.args(["--decisions", "/nowhere/decisions", "--", "true"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot write decisions to `/nowhere/decisions`: ") && said.contains("help: "),
        "{said}"
    );
    Ok(())
}

/// A shell line that sends a denied request, and continues when the file has this many lines, or after 20 seconds.
fn request_and_wait(hosts: &UpstreamHosts, path: &str, lines: usize) -> String {
    let url = hosts.url(UNLISTED, "/");
    format!(
        "curl --disable -sS -o /dev/null '{url}' || :; \
         for i in $(seq 400); do [ \"$(grep -ac decision_id '{path}')\" != {lines} ] || break; sleep 0.05; done"
    )
}

#[test]
fn a_file_that_is_moved_or_removed_while_weir_runs_is_made_again() -> Result<()> {
    let (hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let path = file(&run);
    let (path, option) = (path.display(), path.to_str().context("no text")?);
    let request = |lines| request_and_wait(&hosts, option, lines);
    let (first, second) = (request(1), request(2));
    let script =
        format!("{first}; {second}; mv '{path}' '{path}.old'; {first}; {second}; rm '{path}'; {first}");
    let output = run_with(&run, &["--decisions", option], &script)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(objects(&fs::read_to_string(format!("{path}.old"))?)?.len(), 2, "{said}");
    assert_eq!(objects(&fs::read_to_string(option)?)?.len(), 1, "{said}");
    assert!(!said.contains("WARN"), "{said}");
    Ok(())
}

/// The maximum size of the file.
const MOST: u64 = 64 << 20;

#[test]
fn a_full_file_that_cannot_be_renamed_grows_and_is_named_once() -> Result<()> {
    let (hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let path = file(&run);
    let option = path.to_str().context("no text")?;
    File::create(&path)?.set_len(MOST - 10)?;
    let older = path.with_extension("jsonl.1");
    fs::create_dir(&older)?;
    let script = format!("{}; {}", request_and_wait(&hosts, option, 1), request_and_wait(&hosts, option, 2));
    let output = run_with(&run, &["--decisions", option], &script)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("cannot rename `").count(), 1, "{said}");
    assert!(said.contains(&format!("` to `{}`: Is a directory", older.display())), "{said}");
    Ok(())
}

#[test]
fn two_runs_that_share_a_full_file_keep_each_others_lines() -> Result<()> {
    let (hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let path = file(&run);
    let option = path.to_str().context("no text")?;
    File::create(&path)?.set_len(MOST - 2_000)?;
    let count = 12;
    let url = hosts.url(UNLISTED, "/");
    let curl = format!("for i in $(seq {count}); do curl --disable -sS -o /dev/null '{url}' || :; done");
    std::thread::scope(|scope| {
        let runs =
            [(); 2].map(|()| scope.spawn(|| run_with(&run, &["--decisions", option, "--quiet"], &curl)));
        runs.into_iter().try_for_each(|run| run.join().expect("its errors are returned").map(drop))
    })?;
    let read = |path: &Path| -> Result<String> {
        let text = String::from_utf8(fs::read(path)?)?;
        Ok(text.trim_start_matches('\0').to_owned())
    };
    let (older, newer) = (read(&path.with_extension("jsonl.1"))?, read(&path)?);
    assert_eq!(objects(&older)?.len() + objects(&newer)?.len(), 2 * count);
    assert!(!older.is_empty() && !newer.is_empty());
    Ok(())
}

#[test]
fn the_standard_output_by_its_path_has_decisions_alone() -> Result<()> {
    let (hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let output = run_with(&run, &["--decisions", "/dev/stdout", "--quiet"], &requests(&hosts))?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_three_decisions(&objects(&said.replace("over\n", ""))?);
    Ok(())
}

/// Runs `weir` on a terminal, and returns what the terminal shows.
fn shown_on_terminal(run: &Run, options: &[&str], script: &str) -> Result<String> {
    let mut command = run.command()?;
    command.args(options).args(["--", "sh", "-c", script]);
    let output = on_terminal(&command)?.stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn no_line_is_written_over_a_full_screen_program() -> Result<()> {
    let (hosts, run) = start(&EnvoyBinary::newest()?, "enforce")?;
    let path = file(&run);
    let path = path.to_str().context("no text")?;
    // The program has the screen until its denials are known.
    let both = format!("until [ \"$(grep -c '\"effect\":\"deny\"' '{path}')\" = 2 ]; do :; done");
    let script = format!("stty -icanon -echo; {}; {both}; echo still here; stty sane", requests(&hosts));
    let shown = shown_on_terminal(&run, &["--decisions", path], &script)?;
    let here = shown.find("still here").with_context(|| shown.clone())?;
    let first = shown.find("weir: deny").with_context(|| shown.clone())?;
    let summary = shown.find("weir: 2 denied: ").with_context(|| shown.clone())?;
    assert!(here < first && first < summary, "{shown}");
    assert_eq!(shown.matches("weir: deny").count(), 2, "{shown}");
    // A program that reads lines leaves the terminal to other programs' lines.
    fs::remove_file(Path::new(path))?;
    let script = format!("{}; {both}; sleep 1; echo still here", requests(&hosts));
    let shown = shown_on_terminal(&run, &["--decisions", path], &script)?;
    let here = shown.find("still here").with_context(|| shown.clone())?;
    assert!(shown.find("weir: deny").is_some_and(|first| first < here), "{shown}");
    Ok(())
}

on_oldest_and_newest_envoy!(
    the_file_has_every_decision_and_is_its_owners_alone,
    with_json_every_decision_is_an_object_beside_the_command,
    a_summary_follows_the_command,
    a_policy_that_is_tried_out_tells_what_it_would_deny_beside_a_command,
);
