//! `weir run -- CMD`: the command's environment, its output and its exit code.

use std::os::unix::fs::PermissionsExt;

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

#[test]
fn the_command_has_the_variables_that_are_printed_to_be_pasted() -> Result<()> {
    let (_hosts, run) = start()?;
    let output = run.output(["env", "--null"])?;
    let seen = String::from_utf8(output.stdout)?;
    let seen: Vec<_> = seen.split('\0').filter_map(|entry| entry.split_once('=')).collect();
    let gateway = run.start()?;
    assert!(!gateway.exports().is_empty());
    for (name, value) in gateway.exports() {
        let in_command = seen.iter().find(|(seen, _)| seen == name).map(|(_, value)| *value);
        // Each run has another free port.
        let proxied = value.contains("127.0.0.1:") || name == "JAVA_TOOL_OPTIONS";
        assert!(
            in_command.is_some_and(|seen| proxied || seen == value),
            "{name}: {in_command:?}, printed {value}"
        );
    }
    Ok(())
}

#[test]
fn the_root_is_kept_for_the_next_run_and_its_key_is_private() -> Result<()> {
    let (hosts, run) = start()?;
    let root = ["sh", "-c", "cat \"$NODE_EXTRA_CA_CERTS\""];
    let (first, second) = (run.output(root)?, run.output(root)?);
    assert!(
        first.stdout.starts_with(b"-----BEGIN CERTIFICATE-----"),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    assert_eq!(first.stdout, second.stdout);
    let mut secrets = 0;
    for file in std::fs::read_dir(run.state())? {
        let file = file?;
        // Some files of the folder are not text.
        let content = String::from_utf8_lossy(&std::fs::read(file.path())?).into_owned();
        if content.contains("PRIVATE KEY") {
            secrets += 1;
            assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600, "{}", file.path().display());
        }
    }
    assert_eq!(secrets, 1, "one key: the root's");
    drop(hosts);
    Ok(())
}
