//! Credentials of the explicit proxy: a client without them gets a 407 and nothing else, and Weir reveals a client's
//! credentials to nobody.

use anyhow::{Context, Result};
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, Front, Http2, Origin, Request, Run, RunningGateway,
    ServerOptions, UpstreamHosts, Wire,
};

use crate::transparent;

const USERS: &str = "# who may\nci:correct horse\nagent:battery:staple\n";
const CI: &str = "ci:correct horse";
const AGENT: &str = "agent:battery:staple";
/// [`CI`] in base64.
const CI_TOKEN: &str = "Y2k6Y29ycmVjdCBob3JzZQ==";

const REASON: &str = "proxy_credentials_required";

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.ask_for_credentials(USERS)?;
    Ok((hosts, run.start()?))
}

fn knowing(gateway: &RunningGateway, credentials: &str) -> Client {
    gateway.client().with_credentials(credentials)
}

/// Returns the statuses of the proxy's answers to these header lines, for a request in absolute form and for a CONNECT.
fn answers(gateway: &RunningGateway, hosts: &UpstreamHosts, lines: &[u8]) -> Result<[String; 2]> {
    let (plain, tls) = (hosts.plain_authority(ALPHA), hosts.authority(ALPHA));
    let status = |start: String, host: &str| -> Result<String> {
        let mut wire = Wire::connect(gateway.address()?)?;
        wire.write([format!("{start} HTTP/1.1\r\nhost: {host}\r\n").as_bytes(), lines, b"\r\n"].concat())?;
        let head = wire.expect_head()?;
        Ok(head.start.split(' ').nth(1).context("no status")?.to_owned())
    };
    Ok([status(format!("GET http://{plain}/"), &plain)?, status(format!("CONNECT {tls}"), &tls)?])
}

fn a_client_without_credentials_gets_a_407_that_says_why(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let plain = gateway.client().get(hosts.plain_url(ALPHA, "/"))?;
    assert_eq!((plain.status, plain.header("x-weir-decision")), (407, Some(REASON)), "{plain:#?}");
    assert_eq!(plain.header("proxy-authenticate"), Some("Basic realm=\"weir\""));
    let body = plain.json()?;
    assert_eq!((&body["error"]["type"], &body["reason"]), (&"denied_by_policy".into(), &REASON.into()));
    let tunnel = gateway.client().get(hosts.url(ALPHA, "/"))?;
    assert_eq!((tunnel.connect_status, tunnel.status), (407, 0), "{tunnel:#?}");
    for (decision, method) in gateway.decisions(2)?.iter().zip(["GET", "CONNECT"]) {
        let said = (decision.effect.as_str(), decision.reason.as_str(), decision.status);
        assert_eq!(said, ("deny", REASON, 407));
        assert_eq!(decision.method.as_deref(), Some(method));
    }
    let counted = format!("wasmcustom.weir_decisions.effect.deny.reason.{REASON}");
    // Weir's own readiness probe was the first.
    assert_eq!(gateway.envoy_stat(&counted)?, 3);
    assert_eq!(hosts.nginx.served()?, []);
    assert_eq!(hosts.dns.queries(ALPHA), 0);
    Ok(())
}

fn each_of_the_credentials_lets_in_and_no_others(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    for credentials in [CI, AGENT] {
        for url in [hosts.url(ALPHA, "/"), hosts.plain_url(ALPHA, "/"), hosts.url(BETA, "/")] {
            let response = knowing(&gateway, credentials).get(url)?;
            assert_eq!(response.status, 200, "{credentials}: {response:#?}");
        }
        // Inside the tunnel, the policy decides, and the filter requires no credentials.
        let denied = Request::get(hosts.url(ALPHA, "/")).method("POST");
        assert_eq!(knowing(&gateway, credentials).send(&denied)?.status, 403);
    }
    for wrong in ["ci:correct", "ci:", "agent:correct horse", "CI:correct horse", "# who may:x"] {
        let response = knowing(&gateway, wrong).get(hosts.url(ALPHA, "/"))?;
        assert_eq!((response.connect_status, response.status), (407, 0), "{wrong}");
    }
    Ok(())
}

fn only_one_header_of_the_right_scheme_counts(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let line = |value: &str| format!("proxy-authorization: {value}\r\n").into_bytes();
    for value in ["Basic", "basic", "BASIC  "] {
        let value = format!("{value} {CI_TOKEN}");
        assert_eq!(answers(&gateway, &hosts, &line(&value))?, ["200", "200"], "{value}");
    }
    let right = line(&format!("Basic {CI_TOKEN}"));
    let wrong = [
        Vec::new(),
        [right.clone(), right.clone()].concat(),
        [line("Basic eDp4"), right.clone()].concat(),
        line(&format!("Basic {CI_TOKEN}, Basic {CI_TOKEN}")),
        line(&format!("Bearer {CI_TOKEN}")),
        line(CI_TOKEN),
        line("Basic"),
        line(&format!("Basic {}", &CI_TOKEN[..CI_TOKEN.len() - 2])),
        line(&format!("Basic {}", CI_TOKEN.to_lowercase())),
        b"proxy-authorization: Basic \xff\xfe\r\n".to_vec(),
        format!("authorization: Basic {CI_TOKEN}\r\n").into_bytes(),
    ];
    for lines in wrong {
        let answers = answers(&gateway, &hosts, &lines)?;
        assert_eq!(answers, ["407", "407"], "{}", String::from_utf8_lossy(&lines));
    }
    Ok(())
}

fn http_2_to_the_proxy_is_asked_too(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let (authority, right) = (hosts.plain_authority(ALPHA), format!("Basic {CI_TOKEN}"));
    let connect = |credentials: Option<&str>| -> Result<Http2> {
        let mut http2 = Http2::open(Wire::connect(gateway.address()?)?)?;
        let mut fields = vec![(":method", b"CONNECT".as_slice()), (":authority", authority.as_bytes())];
        fields.extend(credentials.map(|value| ("proxy-authorization", value.as_bytes())));
        http2.begin(&fields)?;
        Ok(http2)
    };
    for wrong in [None, Some("Basic eDp4")] {
        let content = String::from_utf8(connect(wrong)?.read_content())?;
        assert!(content.contains(REASON), "{wrong:?}: {content}");
    }
    let mut tunnel = connect(Some(&right))?;
    tunnel.write(format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n").as_bytes())?;
    assert_eq!(tunnel.read(12)?.get(..12), Some(b"HTTP/1.1 200".as_slice()));
    Ok(())
}

fn credentials_reach_neither_an_upstream_nor_a_log_nor_a_dump(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let answer =
        |_: &e2e::Head, wire: &mut Wire| wire.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let origins =
        [Origin::start(&hosts, Front::Plain, answer)?, Origin::start(&hosts, Front::Http1, answer)?];
    let rules: String = origins.iter().map(Origin::rule).collect();
    let mut run = Run::new(envoy, &hosts, &format!("rules:\n{rules}"))?;
    run.ask_for_credentials(USERS)?;
    let gateway = run.start()?;
    for origin in &origins {
        assert_eq!(knowing(&gateway, CI).get(origin.url("/"))?.status, 200);
        let refused = knowing(&gateway, "ci:wrong horse").get(origin.url("/"))?;
        assert_eq!(refused.status.max(refused.connect_status), 407, "{refused:#?}");
    }
    // The filter ignores credentials that a client sends to the host.
    let inside = Request::get(origins[1].url("/")).header(format!("Proxy-Authorization: Basic {CI_TOKEN}"));
    assert_eq!(knowing(&gateway, AGENT).send(&inside)?.status, 200);
    let heads = [origins[0].wait_heads(1)?, origins[1].wait_heads(2)?];
    for head in heads.iter().flatten() {
        assert_eq!(head.header("proxy-authorization"), None, "{head:#?}");
    }
    gateway.decisions(5)?;
    let dump = gateway.envoy_admin("/config_dump?include_eds")?;
    // The dump also contains the module's bytes, so the beginning of a configuration proves nothing.
    let configurations: Vec<&str> = dump.split("GenericSecret").skip(1).collect();
    assert!(!configurations.is_empty(), "the filter's configuration is not in the dump");
    for configuration in configurations {
        let message = configuration.split('}').next().unwrap_or_default();
        let content = message.split_once("\"inline_bytes\": \"").and_then(|(_, rest)| rest.split('"').next());
        // The content is `[redacted]` in base64, or missing.
        assert!(content.is_none_or(|content| content == "W3JlZGFjdGVkXQ=="), "the configuration is shown");
        assert!(message.len() < 1000, "{} bytes are shown", message.len());
    }
    let shown = [
        ("dump", dump),
        ("stats", gateway.envoy_admin("/stats")?),
        ("stdout", gateway.stdout()),
        ("stderr", gateway.stderr()),
        ("Envoy's log", gateway.envoy_log()?),
    ];
    for (what, text) in shown {
        for secret in ["correct horse", "correct%20horse", "wrong horse", CI_TOKEN, "battery", "Y2k6d3Jvbmc"]
        {
            assert!(!text.contains(secret), "`{secret}` is in {what}");
        }
    }
    Ok(())
}

fn an_edit_counts_at_once_and_a_faulty_one_changes_nothing(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let get = |credentials: &str| knowing(&gateway, credentials).get(hosts.plain_url(ALPHA, "/"));
    let becomes = |credentials: &str, status: u16| {
        Deadline::seconds(15)
            .poll("word of the edit", || Ok((get(credentials)?.status == status).then_some(())))
    };
    gateway.run().write_credentials("ci:correct horse\nnew:one\n")?;
    becomes("new:one", 200)?;
    assert_eq!((get(CI)?.status, get(AGENT)?.status), (200, 407));
    gateway.run().write_credentials("nothing\n")?;
    Deadline::seconds(15).poll("word of the faulty edit", || {
        Ok(gateway.stderr().contains("the last good credentials of the proxy stay in force").then_some(()))
    })?;
    assert_eq!((get(CI)?.status, get("new:one")?.status), (200, 200));
    assert!(!gateway.stderr().contains("nothing"), "{}", gateway.stderr());
    gateway.run().write_credentials("new:two\n")?;
    becomes("new:two", 200)?;
    assert_eq!((get(CI)?.status, get("new:one")?.status), (407, 407));
    Ok(())
}

fn redirected_connections_are_not_asked(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.transparent = transparent::listeners()?;
    run.ask_for_credentials(USERS)?;
    let gateway = run.start()?;
    let client = transparent::redirected(&gateway, gateway.run().transparent[0]);
    for url in [hosts.url(ALPHA, "/"), hosts.plain_url(ALPHA, "/")] {
        assert_eq!(client.get(url)?.status, 200);
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_client_without_credentials_gets_a_407_that_says_why,
    each_of_the_credentials_lets_in_and_no_others,
    only_one_header_of_the_right_scheme_counts,
    http_2_to_the_proxy_is_asked_too,
    credentials_reach_neither_an_upstream_nor_a_log_nor_a_dump,
    an_edit_counts_at_once_and_a_faulty_one_changes_nothing,
    redirected_connections_are_not_asked,
);
