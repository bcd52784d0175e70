//! The demo: each row is right on every Envoy, and the exit code agrees.

use std::process::Command;

use anyhow::Result;
use e2e::EnvoyBinary;

fn the_demo_is_right(envoy: &EnvoyBinary) -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).arg(&envoy.version).output()?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(!stdout.contains("WRONG"), "{stdout}");
    assert!(stdout.contains("rows are right"), "{stdout}");
    Ok(())
}

on_each_envoy!(the_demo_is_right);
