//! Releases of Envoy without the security fixes of August 2026: `weir run` serves them, and warns.

use anyhow::Result;
use e2e::{ALPHA, EnvoyBinary, Run, ServerOptions, UpstreamHosts};

fn a_release_without_security_fixes_is_named_at_the_start(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    let stderr = gateway.stderr();
    let first_fixed = match envoy.version.as_str() {
        "1.36.4" => Some("1.36.10"),
        "1.38.2" => Some("1.38.4"),
        _ => None,
    };
    let warned = stderr.contains(&format!("Envoy {} lacks security fixes", envoy.version));
    assert_eq!(warned, first_fixed.is_some(), "{stderr}");
    assert!(first_fixed.is_none_or(|first| stderr.contains(&format!("use {first} or later"))), "{stderr}");
    Ok(())
}

on_each_envoy!(a_release_without_security_fixes_is_named_at_the_start);
