//! Odd host names: `weir check`, `weir explain`, Envoy with the filter, the resolver and the certificates read each
//! name alike.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use e2e::{
    EnvoyBinary, Head, Run, RunningGateway, ServerOptions, UpstreamHosts, Wire, answer_once, weir_command,
};
use tempfile::TempDir;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The domain below which a wildcard rule allows every name.
const DOMAIN: &str = "names.weir.test";

/// Labels that some part could read in its own way. No two names with different labels are spellings of one name.
fn labels() -> Vec<String> {
    let odd = [
        "plain",
        "UPPER",
        "-lead",
        "trail-",
        "-",
        "two--dashes",
        "a_b",
        "_srv",
        "end_",
        "0",
        "0x7f",
        "1e3",
        "xn--bcher-kva",
        "xn--a",
        "xn--",
        "xn--zzz-",
        "b\u{fc}cher",
        "%61",
        "*",
        "",
        "sp ace",
        "com,ma",
        "semi;colon",
        "am&p",
        "a'b",
        "a\"b",
        "(a)",
        "~t",
        "pl+us",
        "a$b",
        "a!b",
        "back\\slash",
        "[b]",
        "{c}",
        "a|b",
        "a=b",
        "a^b",
        "a`b",
        "<d>",
        "\u{7f}",
        "\u{1}",
        "\u{130}",
        "\u{feff}",
        "a\u{ad}b",
    ];
    odd.iter().map(|label| (*label).to_owned()).chain([63, 64].map(|length| "n".repeat(length))).collect()
}

/// Names with each odd label in each position, and names that are odd as a whole.
fn names() -> Vec<String> {
    let longest = |length: usize| {
        let labels = ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join(".");
        let rest = length - labels.len() - DOMAIN.len() - 2;
        format!("{labels}.{}.{DOMAIN}", "d".repeat(rest))
    };
    let placed = labels().into_iter().flat_map(|label| {
        [format!("{label}.{DOMAIN}"), format!("x.{label}.{DOMAIN}"), label.clone(), format!("names.{label}")]
    });
    let whole = [
        "",
        ".",
        "..",
        "127.1",
        "0x7f.1",
        "017700000001",
        "2130706433",
        "127.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[::01]",
    ];
    let ends = [
        format!("dot.{DOMAIN}."),
        format!("dots.{DOMAIN}.."),
        longest(253),
        format!("{}.", longest(253)),
        longest(254),
    ];
    placed.chain(whole.map(str::to_owned)).chain(ends).collect()
}

/// The parts' readings of one name.
#[derive(Debug)]
struct Reading {
    name: String,
    /// `weir check` accepts the name in `hosts`.
    checked: bool,
    /// `weir explain` allows the URL, and judges this host.
    explained: Option<String>,
    /// `weir explain` denies the URL because its host is invalid.
    invalid: bool,
    /// `weir explain` judges another host than the URL has, as clients send it.
    noted: bool,
    /// The statuses of a request for a plain URL and of a CONNECT, 0 if the connection ended.
    statuses: [u16; 2],
    /// The names that the name server was asked for.
    asked: BTreeSet<String>,
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn check(folder: &TempDir, names: &[String]) -> Result<Vec<bool>> {
    let files: Vec<_> = (0..names.len()).map(|number| folder.path().join(format!("{number}.yaml"))).collect();
    for (file, name) in files.iter().zip(names) {
        std::fs::write(file, format!("allowed_domains: [{}]\n", quoted(name)))?;
    }
    let output = weir_command()?.args(["check", "--json"]).args(&files).output()?;
    let lines = String::from_utf8(output.stdout)?;
    let checked: Vec<bool> = lines.lines().map(|line| line.contains("\"status\":\"ok\"")).collect();
    ensure!(checked.len() == names.len(), "{lines}");
    Ok(checked)
}

/// Returns the allowed host, whether the host is invalid, and whether the host differs from the typed one.
fn explain(run: &Run, port: u16, name: &str) -> Result<(Option<String>, bool, bool)> {
    let mut command = weir_command()?;
    command.args(["explain", "--json", "--policy"]).arg(run.policy());
    let output = command.args(["GET", &format!("http://{name}:{port}/")]).output()?;
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{name:?}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let allowed = explained["effect"] == "allow";
    let host = explained["host"].as_str().filter(|_| allowed).map(str::to_owned);
    let noted = explained["notes"].as_array().is_some_and(|notes| !notes.is_empty());
    Ok((host, noted || explained["reason"] == "invalid_host", noted))
}

fn status(gateway: &RunningGateway, request: &str) -> Result<u16> {
    let mut wire = Wire::connect(gateway.address()?)?;
    wire.write(request)?;
    let head = wire.read_head()?;
    let status = |head: &Head| head.start.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(head.as_ref().and_then(status).unwrap_or_default())
}

fn every_part_reads_a_name_in_the_same_way(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = answer_once(SocketAddr::new(LOOPBACK, 0))?.port();
    let (folder, names) = (TempDir::new()?, names());
    let checked = check(&folder, &names)?;
    let mut listed: BTreeSet<String> = [format!("'*.{DOMAIN}'")].into();
    listed.extend(names.iter().zip(&checked).filter(|(_, checked)| **checked).map(|(name, _)| quoted(name)));
    let listed = listed.into_iter().collect::<Vec<_>>().join(", ");
    let rule = "schemes: [http, https]";
    let policy = format!(
        "rules: [{{id: odd, effect: allow, hosts: [{listed}], ports: [{port}, {}], {rule}, addresses: ['127.0.0.0/8', '::1']}}]\n",
        hosts.port()
    );
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    let mut readings = Vec::new();
    for (name, checked) in names.into_iter().zip(checked) {
        hosts.dns.set(name.trim_end_matches('.').to_lowercase().as_str(), vec![LOOPBACK]);
        let before = hosts.dns.asked();
        let (explained, invalid, noted) = explain(gateway.run(), port, &name)?;
        let authority = format!("{name}:{port}");
        let plain = format!("GET http://{authority}/ HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        let tunnel = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        let statuses = [status(&gateway, &plain)?, status(&gateway, &tunnel)?];
        let asked = hosts.dns.asked().difference(&before).cloned().collect();
        readings.push(Reading { name, checked, explained, invalid, noted, statuses, asked });
    }
    let mut splits = Vec::new();
    for reading in &readings {
        let Reading { name, checked, explained, invalid, noted, statuses, asked } = reading;
        let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
        let judged = explained.as_ref().filter(|_| !noted);
        let right = match judged {
            // `explain` allows the URL as written, so the request is sent, and only the canonical name is resolved.
            Some(host) => {
                let resolved: BTreeSet<String> = (!is_address).then(|| host.clone()).into_iter().collect();
                // No program listens on the IPv6 address.
                let answer = if name.starts_with('[') { 503 } else { 200 };
                *statuses == [answer, 200] && (*asked == resolved || asked.is_empty())
            }
            // Nothing is sent and nothing is resolved. A host that no rule allows may have a tunnel, which ends in
            // Weir.
            None => {
                let [plain, tunnel] = statuses.map(|status| (400..500).contains(&status));
                plain && (tunnel || !invalid) && asked.is_empty()
            }
        };
        // Envoy allows a name that `check` accepts, as the same name.
        if !right || (*checked && explained.as_ref() != Some(name)) {
            splits.push(reading);
        }
    }
    ensure!(splits.is_empty(), "{splits:#?}");
    let accepted = readings.iter().filter(|reading| reading.checked).count();
    ensure!(accepted > 30 && accepted < readings.len() / 2, "{accepted} of {} names", readings.len());
    Ok(())
}

/// A leaf's name must be one that curl's TLS library accepts. The upstream has another certificate, so the expected
/// answer comes from Weir, inside TLS.
fn a_certificate_for_an_odd_name_is_accepted_by_clients(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let longest = format!("{}.{}.{DOMAIN}", "l".repeat(63), "m".repeat(63));
    let names = [
        "-lead.weir.test",
        "trail-.weir.test",
        "two--dashes.weir.test",
        "xn--bcher-kva.weir.test",
        "0.weir.test",
        "single",
        &longest,
    ];
    let policy = format!(
        "rules: [{{id: odd, effect: allow, hosts: [{}], ports: [{}], addresses: [127.0.0.1]}}]\n",
        names.map(quoted).join(", "),
        hosts.port()
    );
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    for name in names {
        hosts.dns.set(name, vec![LOOPBACK]);
        let response = gateway.client().get(hosts.url(name, "/"))?;
        let decision = response.header("x-weir-decision");
        assert_eq!(
            (response.status, decision),
            (503, Some("certificate_not_verified")),
            "{name}: {response:?}"
        );
    }
    Ok(())
}

fn a_name_with_an_underscore_is_refused_by_every_part(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let checked = check(&TempDir::new()?, &["a_b.example.com".to_owned()])?;
    assert_eq!(checked, [false]);
    let response = gateway.client().get("http://a_b.example.com/")?;
    assert_eq!((response.status, response.header("x-weir-decision")), (400, Some("malformed_request")));
    let hint = response.json()?["hint"].to_string();
    assert!(hint.contains("without underscores"), "{hint}");
    Ok(())
}

on_oldest_and_newest_envoy!(
    every_part_reads_a_name_in_the_same_way,
    a_certificate_for_an_odd_name_is_accepted_by_clients,
    a_name_with_an_underscore_is_refused_by_every_part,
);
