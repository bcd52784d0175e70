//! `weir run -- CMD`: the command's environment, its output and its exit code.

use anyhow::Result;
use e2e::{ALPHA, EnvoyBinary, Run, ServerOptions, UpstreamHosts};

fn start() -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &hosts.policy())?;
    Ok((hosts, run))
}

#[test]
fn curl_just_works() -> Result<()> {
    let (hosts, run) = start()?;
    let output = run.output(["curl", "-sS", &hosts.url(ALPHA, "/")])?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{ALPHA} says hello\n"),
        "stdout is CMD's alone"
    );
    Ok(())
}

#[test]
fn the_exit_code_is_the_commands() -> Result<()> {
    let (_hosts, run) = start()?;
    assert_eq!(run.output(["true"])?.status.code(), Some(0));
    assert_eq!(run.output(["sh", "-c", "exit 42"])?.status.code(), Some(42));
    Ok(())
}

#[test]
fn a_command_that_a_signal_ended_has_the_shells_exit_code() -> Result<()> {
    let (_hosts, run) = start()?;
    assert_eq!(run.output(["sh", "-c", "kill -TERM $$"])?.status.code(), Some(128 + 15));
    Ok(())
}

#[test]
fn a_command_that_does_not_exist_is_an_error_with_a_hint() -> Result<()> {
    let (_hosts, run) = start()?;
    let output = run.output(["no-such-program"])?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("`no-such-program`") && stderr.contains("help:"), "{stderr}");
    Ok(())
}

#[test]
fn arguments_reach_the_command_as_they_are() -> Result<()> {
    let (_hosts, run) = start()?;
    let output = run.output(["printf", "%s|", "two words", "--policy", "--", "$HOME", ""])?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "two words|--policy|--|$HOME||");
    Ok(())
}
