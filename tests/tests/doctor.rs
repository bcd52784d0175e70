//! `weir doctor` against real hosts: its finding about each host, and its exit code.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::{
    ALPHA, BETA, EnvoyBinary, IMPOSTOR, INWARD, OpensslAuthority, ServerCertificate, ServerOptions, UNLISTED,
    UpstreamHosts,
};
use tempfile::TempDir;

/// The findings: severity and text, by subject.
struct Diagnosis {
    code: Option<i32>,
    findings: BTreeMap<String, Vec<(String, String)>>,
}

impl Diagnosis {
    fn new(envoy: &EnvoyBinary, hosts: &UpstreamHosts, policy: &str, more: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("policy.yaml");
        fs::write(&file, policy)?;
        Self::of_file(envoy, hosts, &file, more)
    }

    fn of_file(envoy: &EnvoyBinary, hosts: &UpstreamHosts, file: &Path, more: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let output = e2e::weir_command()?
            .args(["doctor", "--json", "--policy"])
            .arg(file)
            .arg("--envoy")
            .arg(&envoy.path)
            .arg("--upstream-ca")
            .arg(hosts.roots())
            .args(["--dns", &hosts.dns.address().to_string(), "--state"])
            .arg(folder.path().join("state"))
            .args(more)
            .output()?;
        let mut findings: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let finding: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let text = |key: &str| finding[key].as_str().map(str::to_owned).context("a text");
            findings.entry(text("about")?).or_default().push((text("severity")?, text("what")?));
        }
        ensure!(!findings.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(Self { code: output.status.code(), findings })
    }

    /// Returns whether a finding about this subject has this severity and these words.
    #[track_caller]
    fn says(&self, about: &str, severity: &str, words: &str) {
        let found = self.findings.get(about).is_some_and(|findings| {
            findings.iter().any(|(found, what)| found == severity && what.contains(words))
        });
        assert!(found, "{severity} {about}: {words}\n{:#?}", self.findings);
    }
}

fn policy(hosts: &UpstreamHosts, names: &[&str], more: &str) -> String {
    let (names, port) = (names.join(", "), hosts.port());
    format!(
        "rules:\n  - {{id: hosts, effect: allow, hosts: [{names}], ports: [{port}], addresses: [127.0.0.1]}}\n{more}"
    )
}

#[test]
fn hosts_that_share_an_address_mean_another_thing_on_each_envoy() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = policy(&hosts, &[ALPHA, BETA], "");
    let together = format!("{ALPHA}, {BETA}");
    for (version, fixed, strategy, choice, severity, words) in [
        ("1.36.4", "warning", "context_per_host", None, "ok", "a TLS context of its own"),
        ("1.36.4", "warning", "no_sessions", Some("no_sessions"), "warning", "every handshake is a full one"),
        ("1.39.3", "ok", "context_per_host", None, "ok", "a TLS context of its own"),
        ("1.40.0", "ok", "sni_scoped_sessions", None, "ok", "apart by server name"),
    ] {
        let envoy = EnvoyBinary::version(version)?;
        let choice = choice.map(|choice| ["--upstream-tls", choice]);
        let diagnosis =
            Diagnosis::new(&envoy, &hosts, &policy, choice.as_ref().map_or(&[], |choice| &choice[..]))?;
        diagnosis.says("Envoy", fixed, version);
        diagnosis.says("TLS sessions", severity, strategy);
        diagnosis.says(&together, severity, "share 127.0.0.1 and present different certificates");
        diagnosis.says(&together, severity, words);
        for host in [ALPHA, BETA] {
            diagnosis.says(&format!("{host}:{}", hosts.port()), "ok", "verified, at 127.0.0.1");
        }
        diagnosis.says("Weir's CA", "ok", "there is none yet");
        assert_eq!(diagnosis.code, Some(0), "{:#?}", diagnosis.findings);
    }
    Ok(())
}

#[test]
fn what_will_not_work_is_a_problem_and_the_exit_code_says_so() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    hosts.nginx.present(ALPHA, &hosts.alpha_authority.issue_expired(&[ALPHA])?)?;
    hosts.nginx.present(UNLISTED, &ServerCertificate::self_signed(&[UNLISTED])?)?;
    hosts.dns.set(INWARD, vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))]);
    hosts.dns.set("mixed.weir.test", vec![Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 9).into()]);
    hosts.dns.set("closed.weir.test", vec![Ipv4Addr::LOCALHOST.into()]);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let more = format!(
        "  - {{id: mixed, effect: allow, hosts: [mixed.weir.test], schemes: [http], ports: [{}], addresses: [127.0.0.1]}}
  - {{id: closed, effect: allow, hosts: [closed.weir.test], ports: [{closed}], addresses: [127.0.0.1]}}
  - {{id: gone, effect: allow, hosts: [gone.weir.test]}}
  - {{id: wide, effect: allow, hosts: ['*.wide.weir.test']}}
",
        hosts.plain_port()
    );
    let policy = policy(&hosts, &[ALPHA, BETA, IMPOSTOR, INWARD, UNLISTED], &more);
    let diagnosis = Diagnosis::new(&EnvoyBinary::newest()?, &hosts, &policy, &[])?;
    let at = |host: &str| format!("{host}:{}", hosts.port());
    diagnosis.says(&at(ALPHA), "problem", "expired");
    diagnosis.says(&at(BETA), "ok", "verified");
    diagnosis.says(&at(IMPOSTOR), "problem", "for other names");
    diagnosis.says(&at(UNLISTED), "problem", "no trusted root signed its certificate");
    diagnosis.says(&at(INWARD), "problem", "resolves to a non-public address: 10.0.0.1");
    let mixed = format!("mixed.weir.test:{}", hosts.plain_port());
    diagnosis.says(&mixed, "ok", "takes connections");
    diagnosis.says(&mixed, "warning", "some of its addresses from Envoy: 127.0.0.9");
    diagnosis.says(&format!("closed.weir.test:{closed}"), "problem", "no connection");
    diagnosis.says("gone.weir.test:443", "problem", "does not exist");
    diagnosis.says("*.wide.weir.test", "ok", "not probed");
    assert_eq!(diagnosis.code, Some(1));
    Ok(())
}

#[test]
fn a_server_with_odd_tls_is_told_apart_from_one_that_lies() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let authority = OpensslAuthority::new()?;
    hosts.write_roots(&authority.pem()?)?;
    let san = format!("DNS:{ALPHA}");
    let cbc = authority.serve(&san, &["rsa:2048"], &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"])?;
    let p384 = authority.serve(&san, &["ed25519"], &["-groups", "P-384"])?;
    let rules = format!(
        "rules: [{{id: odd, effect: allow, hosts: [{ALPHA}], ports: [{}, {}], addresses: [127.0.0.1]}}]",
        cbc.port(),
        p384.port(),
    );
    let diagnosis = Diagnosis::new(&EnvoyBinary::newest()?, &hosts, &rules, &[])?;
    diagnosis.says(&format!("{ALPHA}:{}", cbc.port()), "problem", "no version, cipher or curve of TLS");
    diagnosis.says(&format!("{ALPHA}:{}", p384.port()), "ok", "verified");
    Ok(())
}

#[test]
fn the_upstream_of_a_rule_is_looked_at_as_the_rule_has_it() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = hosts.port();
    let more = format!(
        "  - {{id: other, effect: allow, hosts: [nowhere.weir.test], addresses: [127.0.0.1], upstream: {{host: {BETA}, port: {port}}}}}
  - {{id: strict, effect: allow, hosts: [{ALPHA}], ports: [{port}], addresses: [127.0.0.1], upstream: {{ca: beta.pem}}}}
  - {{id: own, effect: allow, hosts: [{IMPOSTOR}], ports: [{port}], addresses: [127.0.0.1],
      upstream: {{ca: beta.pem, names: [{BETA}]}}}}
"
    );
    let folder = TempDir::new()?;
    fs::write(folder.path().join("beta.pem"), hosts.beta_authority.pem())?;
    let file = folder.path().join("policy.yaml");
    fs::write(&file, format!("rules:\n{more}"))?;
    let diagnosis = Diagnosis::of_file(&EnvoyBinary::newest()?, &hosts, &file, &[])?;
    diagnosis.says("nowhere.weir.test:443", "ok", "verified, at 127.0.0.1");
    diagnosis.says(&hosts.authority(IMPOSTOR), "ok", "verified, at 127.0.0.1");
    diagnosis.says(&hosts.authority(ALPHA), "problem", "no trusted root signed its certificate");
    Ok(())
}

#[test]
fn an_envoy_that_cannot_run_the_filter_is_a_problem() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let folder = TempDir::new()?;
    let path = folder.path().join("envoy");
    fs::write(&path, "#!/bin/sh\necho 'envoy  version: 0a1b/1.38.3/Clean/RELEASE/BoringSSL'\n")?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let envoy = EnvoyBinary { path, ..EnvoyBinary::newest()? };
    let diagnosis = Diagnosis::new(&envoy, &hosts, &policy(&hosts, &[ALPHA], ""), &[])?;
    diagnosis.says("Envoy", "warning", "1.38.3 lacks security fixes");
    diagnosis.says("Envoy", "problem", "no wasm runtime");
    assert_eq!(diagnosis.code, Some(1));
    Ok(())
}

#[test]
fn the_rego_policy_is_looked_at_and_whether_this_envoy_can_ask_it() -> Result<()> {
    const GOOD: &str = "package envoy.authz\n\ndefault allow := false\n";
    const SLOW: &str = "package envoy.authz\n\nallow if { not seen.GET }\n\nseen[\"GET\"] := 1 if input.parsed_path[0] == \"a\"\n";
    const BAD: &str = "package envoy.authz\n\nallow if http.send({})\n";
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let fenced = policy(&hosts, &[ALPHA], "");
    let folder = TempDir::new()?;
    let file = folder.path().join("policy.yaml");
    let place = format!("{}:3:19: ", folder.path().join("policy.rego").display());
    let in_advance = "no rule allows any";
    for (version, rules, rego, severity, words) in [
        ("1.40.0", "rules: []", GOOD, "ok", "fast engine"),
        ("1.40.0", "rules: []", SLOW, "ok", "slow engine because of"),
        ("1.40.0", "rules: []", BAD, "problem", place.as_str()),
        ("1.36.4", "rules: []", GOOD, "problem", in_advance),
        ("1.36.4", fenced.as_str(), GOOD, "ok", "fast engine"),
    ] {
        fs::write(&file, format!("rego: {{policy: policy.rego}}\n{rules}\n"))?;
        fs::write(folder.path().join("policy.rego"), rego)?;
        let diagnosis = Diagnosis::of_file(&EnvoyBinary::version(version)?, &hosts, &file, &[])?;
        diagnosis.says("Rego", severity, words);
        let problems = if severity == "problem" { 1 } else { 0 };
        assert_eq!(diagnosis.code, Some(problems), "{:#?}", diagnosis.findings);
    }
    fs::remove_file(folder.path().join("policy.rego"))?;
    let diagnosis = Diagnosis::of_file(&EnvoyBinary::newest()?, &hosts, &file, &[])?;
    diagnosis.says("Rego", "problem", "cannot read");
    Ok(())
}

#[test]
fn a_policy_with_faults_is_reported_and_nothing_is_asked() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("policy.yaml");
    fs::write(&file, "allowed_domains: [EXAMPLE.com]")?;
    let output = e2e::weir_command()?.args(["doctor", "--policy"]).arg(&file).output()?;
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("example.com"));
    Ok(())
}
