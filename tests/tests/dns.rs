//! The questions that Weir asks name servers, and the use of their answers.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use e2e::{
    ALPHA, BETA, EnvoyBinary, Front, IMPOSTOR, Origin, Request, Run, SEARCH_DOMAIN, ServerOptions, UNLISTED,
    UpstreamHosts, Wire, answer_once, answer_yes, require_program, wrapped,
};
use tempfile::TempDir;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const MISSING: &str = "missing.weir.test";

/// Writes a rule for plain HTTP to these hosts on this port of loopback.
fn rule(hosts: &str, port: u16) -> String {
    format!(
        "rules:\n  - id: plain\n    effect: allow\n    hosts: [{hosts}]\n    ports: [{port}]\n    schemes: [http]\n    \
         methods: [GET]\n    addresses: [127.0.0.0/8, '::1/128']\n"
    )
}

fn only_what_the_policy_allows_is_asked_for(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    assert_eq!(hosts.dns.asked(), BTreeSet::new(), "nothing is resolved before it is needed");
    let client = gateway.client();
    for denied in [
        Request::get(hosts.url(UNLISTED, "/")),
        Request::get(hosts.plain_url(UNLISTED, "/")),
        Request::get(hosts.url(ALPHA, "/")).method("POST"),
        Request::get(hosts.url(BETA, "/private")),
        Request::get(hosts.url(IMPOSTOR, "/")).header(format!("host: {ALPHA}")),
        Request::get(hosts.plain_url(BETA, "/")),
        Request::get(format!("https://{ALPHA}:1/")),
    ] {
        client.send(&denied)?;
    }
    gateway.decisions(7)?;
    assert_eq!(hosts.dns.asked(), BTreeSet::new());
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 200);
    assert_eq!(hosts.dns.asked(), [ALPHA.to_owned()].into());
    Ok(())
}

fn a_name_that_does_not_exist_is_a_failure_of_dns_and_is_tried_nowhere_else(
    envoy: &EnvoyBinary,
) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    hosts.dns.set(&format!("{MISSING}.{SEARCH_DOMAIN}"), vec![V4]);
    let gateway = Run::new(envoy, &hosts, &rule(MISSING, 80))?.start()?;
    let response = gateway.client().get(format!("http://{MISSING}/"))?;
    assert_eq!((response.status, response.header("x-weir-decision")), (503, Some("dns_failure")));
    let body = response.json()?;
    assert_eq!(
        (&body["error"]["type"], &body["reason"]),
        (&"upstream_failure".into(), &"dns_failure".into())
    );
    let decision = gateway.only_decision()?;
    assert_eq!((decision.effect.as_str(), decision.reason.as_str()), ("allow", "dns_failure"));
    assert_eq!(hosts.dns.asked(), [MISSING.to_owned()].into());
    Ok(())
}

#[test]
fn hosts_that_share_an_address_are_told_with_what_it_means() -> Result<()> {
    let envoy = EnvoyBinary::version("1.40.0")?;
    let full = "every new connection costs a full handshake";
    for (strategy, meaning) in [
        ("auto", "keeps their TLS sessions apart by server name"),
        ("context_per_host", "each has a TLS context of its own"),
        ("no_sessions", "no TLS session is resumed"),
    ] {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        let mut run = Run::new(&envoy, &hosts, &hosts.policy())?;
        (run.upstream_tls, run.log) = (Some(strategy.to_owned()), Some("info".to_owned()));
        let gateway = run.start()?;
        for host in [ALPHA, BETA, ALPHA, BETA] {
            assert_eq!(gateway.client().get(hosts.url(host, "/"))?.status, 200);
        }
        let log = gateway.stderr();
        let told: Vec<_> = log.lines().filter(|line| line.contains("share 127.0.0.1")).collect();
        assert!(told.len() == 1 && told[0].contains(meaning), "{strategy}: {log}");
        assert!([ALPHA, BETA].iter().all(|host| told[0].contains(host)), "{log}");
        assert_eq!(log.matches(full).count(), usize::from(strategy == "no_sessions"), "{log}");
    }
    Ok(())
}

fn a_name_server_that_says_nothing_is_a_failure_of_dns(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut run = Run::new(envoy, &hosts, &rule(MISSING, 80))?;
    run.dns = Some(silent.local_addr()?);
    let gateway = run.start()?;
    let response = gateway.client().get(format!("http://{MISSING}/"))?;
    assert_eq!((response.status, response.header("x-weir-decision")), (503, Some("dns_failure")));
    Ok(())
}

/// No program listens on the first address of a name, and the next address answers (happy eyeballs, RFC 8305), also one
/// of the other family. A name with addresses of one family works in each family.
fn another_address_of_a_name_answers_where_the_first_does_not(envoy: &EnvoyBinary) -> Result<()> {
    for live in [V4, V6] {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        let port = answer_once(SocketAddr::new(live, 0))?.port();
        let dead = if live == V4 { V6 } else { V4 };
        let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let names = [
            ("one.weir.test", vec![live]),
            ("two.weir.test", vec![dead, live]),
            ("three.weir.test", vec![elsewhere, dead, live]),
        ];
        let gateway = Run::new(envoy, &hosts, &rule("'*.weir.test'", port))?.start()?;
        for (name, addresses) in names {
            hosts.dns.set(name, addresses.clone());
            let response = gateway.client().get(format!("http://{name}:{port}/"))?;
            assert_eq!(response.status, 200, "{addresses:?}: {response:#?}");
        }
    }
    Ok(())
}

/// Envoy's resolver always reads `resolv.conf`, and then asks Weir's resolver over TCP. The test needs root, because it
/// runs in a mount namespace of its own.
fn options_of_resolv_conf_fail_no_name(envoy: &EnvoyBinary) -> Result<()> {
    const MOUNT: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let port = answer_once(SocketAddr::new(V4, 0))?.port();
    hosts.dns.set("one.weir.test", vec![V4]);
    let run = Run::new(envoy, &hosts, &rule("one.weir.test", port))?;
    let folder = TempDir::new()?;
    let settings = folder.path().join("resolv.conf");
    fs::write(&settings, "options use-vc ndots:15 edns0 rotate\nsearch (none)\n")?;
    let settings = settings.to_str().context("the path is not UTF-8")?;
    let url = format!("http://one.weir.test:{port}/");
    let mut weir = run.command()?;
    weir.args(["--", "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url]);
    require_program("unshare")?;
    let output = wrapped(&["unshare", "--mount", "sh", "-c", MOUNT, settings], &weir).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{stderr}");
    Ok(())
}

/// More names at once than Envoy's own limit of 1,024. (Measured by hand on 1.40.0: 16,387 names answered, and each
/// further one was `overloaded`. `dns_cache.rs` sets the limit.)
fn fifteen_hundred_names_are_no_flood(envoy: &EnvoyBinary) -> Result<()> {
    const NAMES: usize = 1500;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Plain, answer_yes)?;
    let port = origin.port();
    let gateway = Run::new(envoy, &hosts, &rule("'*.many.weir.test'", port))?.start()?;
    let mut wire = Wire::connect(gateway.address()?)?;
    for number in 0..NAMES {
        let name = format!("n{number}.many.weir.test");
        hosts.dns.set(&name, vec![V4]);
        wire.write(format!("GET http://{name}:{port}/ HTTP/1.1\r\nhost: {name}:{port}\r\n\r\n"))?;
        let head = wire.expect_head().with_context(|| name.clone())?;
        assert_eq!(head.start, "HTTP/1.1 200 OK", "{name}: {head:#?}");
        wire.read_content(&head, |_| {})?;
    }
    let held = gateway.envoy_stats("dns_cache.")?;
    let held = held.iter().find(|(name, _)| name.ends_with(".num_hosts")).context("no number of hosts")?;
    assert_eq!(held.1, NAMES as u64);
    Ok(())
}

on_oldest_and_newest_envoy!(
    only_what_the_policy_allows_is_asked_for,
    a_name_that_does_not_exist_is_a_failure_of_dns_and_is_tried_nowhere_else,
    a_name_server_that_says_nothing_is_a_failure_of_dns,
    another_address_of_a_name_answers_where_the_first_does_not,
    options_of_resolv_conf_fail_no_name,
    fifteen_hundred_names_are_no_flood,
);
