//! What keeps `weir run` from starting is said in a sentence with a hint, and the exit code tells whose fault it is.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use e2e::{EnvoyBinary, Run, ServerOptions, UpstreamHosts, weir_command};

const FAILURE: i32 = 1;
const INVALID: i32 = 3;

fn run(policy: impl Fn(&UpstreamHosts) -> String) -> Result<(UpstreamHosts, Run)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let run = Run::new(&EnvoyBinary::newest()?, &hosts, &policy(&hosts))?;
    Ok((hosts, run))
}

/// Runs it with a command that must not run; every part must be in its error.
fn assert_fails(run: &Run, code: i32, parts: &[&str]) -> Result<()> {
    let output = run.output(["echo", "the command ran"])?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    for part in parts.iter().chain(&["help:"]) {
        assert!(stderr.contains(part), "`{part}` is not in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn a_taken_port_is_named() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = taken.local_addr()?.to_string();
    run.listen = Some(address.clone());
    let holder = format!("(process {}, user ", std::process::id());
    assert_fails(&run, FAILURE, &[&address, &holder, "--listen"])
}

#[test]
fn a_strategy_that_is_wrong_on_the_envoy_is_refused() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = Some(EnvoyBinary::version("1.39.3")?.path);
    run.upstream_tls = Some("sni_scoped_sessions".to_owned());
    assert_fails(&run, FAILURE, &["`--upstream-tls sni_scoped_sessions`", "Envoy 1.40"])
}

#[test]
fn credentials_that_others_can_read_are_refused_and_never_quoted() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.ask_for_credentials("ci:secret\n")?;
    std::fs::set_permissions(run.credentials(), std::fs::Permissions::from_mode(0o644))?;
    assert_fails(&run, FAILURE, &["users`", "open to other users", "chmod 600"])?;
    std::fs::set_permissions(run.credentials(), std::fs::Permissions::from_mode(0o600))?;
    run.write_credentials("secret\n")?;
    assert_fails(&run, FAILURE, &["users`: line 1: there is no `:`"])?;
    assert!(!String::from_utf8_lossy(&run.output(["true"])?.stderr).contains("secret"));
    Ok(())
}

#[test]
fn a_missing_envoy_is_named() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = Some("/nowhere/envoy".into());
    assert_fails(&run, FAILURE, &["`/nowhere/envoy`"])
}

#[test]
fn a_program_that_is_no_envoy_is_an_error() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.envoy = Some("/bin/true".into());
    assert_fails(&run, FAILURE, &["/bin/true"])
}

#[test]
fn every_fault_of_a_policy_is_shown_with_its_line() -> Result<()> {
    let faulty = "allowed_domains:\n  - Example.COM\n  - '*'\nunknown: 1\n";
    let (_hosts, run) = run(|_| faulty.to_owned())?;
    assert_fails(&run, INVALID, &["example.com", "unknown", "2", "3", "4"])
}

#[test]
fn a_missing_policy_file_is_named() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    std::fs::remove_file(run.policy())?;
    let output = run.output(["true"])?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code == FAILURE || code == INVALID), "{stderr}");
    assert!(stderr.contains("policy.yaml") && stderr.contains("help:"), "{stderr}");
    Ok(())
}

#[test]
fn a_missing_upstream_ca_is_named() -> Result<()> {
    let (_hosts, mut run) = run(UpstreamHosts::policy)?;
    run.upstream_ca = Some("/nowhere/roots.pem".into());
    assert_fails(&run, FAILURE, &["/nowhere/roots.pem"])
}

#[test]
fn a_state_folder_open_to_others_is_refused() -> Result<()> {
    let (_hosts, run) = run(UpstreamHosts::policy)?;
    std::fs::create_dir(run.state())?;
    std::fs::set_permissions(run.state(), std::fs::Permissions::from_mode(0o755))?;
    assert_fails(&run, FAILURE, &["chmod 700"])
}

#[test]
fn an_unknown_option_is_invalid_usage() -> Result<()> {
    let output = weir_command()?.args(["run", "--no-such-option"]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(INVALID), "{stderr}");
    assert!(stderr.contains("--no-such-option"), "{stderr}");
    Ok(())
}
