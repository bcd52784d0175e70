//! Requests that the policy denies: the client gets the reason, and no byte reaches an upstream.

use anyhow::Result;
use e2e::{
    ALPHA, BETA, EnvoyBinary, IMPOSTOR, LoggedDecision, Request, Response, Run, RunningGateway,
    ServerOptions, UNLISTED, UpstreamHosts,
};

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    Ok((hosts, gateway))
}

/// Checks the denial that the client read, and that the decision log agrees.
fn assert_denied(response: &Response, decision: &LoggedDecision, status: u16, reason: &str) -> Result<()> {
    assert_eq!(response.status, status, "{response:#?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("x-weir-decision"), Some(reason));
    let body = response.json()?;
    let keys: Vec<_> = body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["error", "message", "reason", "rule", "host", "method", "path", "decision_id", "hint"]);
    let error = &body["error"];
    assert_eq!((&error["type"], &error["code"]), (&"denied_by_policy".into(), &reason.into()));
    let (message, hint) = (error["message"].as_str().unwrap_or_default(), body["hint"].as_str());
    assert!(message.contains(reason) && hint.is_some_and(|hint| message.ends_with(hint)), "{message}");
    assert_eq!(body["message"], error["message"]);
    let notice = response.header("npm-notice").unwrap_or_default();
    assert!(notice.starts_with(&format!("denied by policy ({reason}): ")), "{notice}");
    let proxy_status = format!("weir; error=http_request_denied; details=\"{reason}\"");
    assert_eq!(response.header("proxy-status"), Some(proxy_status.as_str()));
    assert_eq!(body["reason"], reason);
    assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    assert_eq!(body["decision_id"].as_str(), decision.decision_id.as_deref());
    assert_eq!(body["method"].as_str(), decision.method.as_deref());
    assert_eq!(body["rule"].as_str(), decision.rule.as_deref());
    assert_eq!(
        (decision.effect.as_str(), decision.reason.as_str(), decision.status),
        ("deny", reason, status)
    );
    assert_eq!(decision.upstream_names, [""; 0]);
    Ok(())
}

fn an_unlisted_host_is_refused_with_a_reason(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let response = gateway.client().get(hosts.url(UNLISTED, "/a?b"))?;
    let decision = gateway.only_decision()?;
    if envoy.version.as_str() >= "1.37" {
        assert_denied(&response, &decision, 403, "host_not_allowed")?;
        let body = response.json()?;
        assert_eq!(
            (&body["host"], &body["method"], &body["path"]),
            (&UNLISTED.into(), &"GET".into(), &"/a".into())
        );
    } else {
        // This Envoy cannot get a certificate for the name at the handshake, so the filter denies the tunnel.
        assert_eq!((response.connect_status, response.status), (403, 0), "{response:#?}");
        assert_eq!((decision.effect.as_str(), decision.reason.as_str()), ("deny", "host_not_allowed"));
        assert_eq!((decision.method.as_deref(), decision.host.as_deref()), (Some("CONNECT"), Some(UNLISTED)));
    }
    assert_eq!(hosts.nginx.served()?, []);
    assert_eq!(hosts.dns.queries(UNLISTED), 0, "a refused name is not resolved");
    Ok(())
}

fn a_forbidden_method_is_refused(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let response = gateway.client().send(&Request::get(hosts.url(ALPHA, "/")).method("POST"))?;
    assert_denied(&response, &gateway.only_decision()?, 403, "method_not_allowed")?;
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn a_forbidden_path_is_refused_however_it_is_spelled(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let paths = [
        ("/private", "path_not_allowed"),
        ("/public/../private", "path_not_allowed"),
        ("/public/%2e%2e/private", "path_not_allowed"),
        ("/public/..%2fprivate", "ambiguous_path"),
        // Envoy resolves these paths before the filter, as a browser does (WHATWG URL), and forwards the result.
        ("/../private", "path_not_allowed"),
        ("/public/..\\private", "path_not_allowed"),
    ];
    for (index, (path, reason)) in paths.into_iter().enumerate() {
        let response = gateway.client().get(hosts.url(BETA, path))?;
        let decisions = gateway.decisions(index + 1)?;
        assert_eq!(decisions[index].reason, reason, "{path}");
        assert_denied(&response, &decisions[index], 403, reason)?;
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn the_upstream_reads_the_path_that_was_judged(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    assert_eq!(
        gateway.client().get(hosts.url(BETA, "/private/../public/%2e%2e/public/a?q=/../b"))?.status,
        200
    );
    assert_eq!(gateway.only_decision()?.path.as_deref(), Some("/public/a"));
    assert_eq!(hosts.nginx.wait_served(1)?[0].request, "GET /public/a?q=/../b HTTP/1.1");
    Ok(())
}

fn a_forged_host_is_misdirected(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let forged = Request::get(hosts.url(ALPHA, "/")).header(format!("Host: {BETA}:{}", hosts.port()));
    let response = gateway.client().send(&forged)?;
    assert_denied(&response, &gateway.only_decision()?, 421, "sni_mismatch")?;
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn a_tunnel_to_another_host_or_port_is_misdirected(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let tunnels = [format!("{ALPHA}:{}", hosts.port()), format!("{BETA}:{}", hosts.plain_port())];
    for (index, tunnel) in tunnels.into_iter().enumerate() {
        // Server name and Host agree on beta; only the CONNECT differs.
        let client = gateway.client().connecting_to(tunnel);
        let response = client.get(hosts.url(BETA, "/"))?;
        let decisions = gateway.decisions(index + 1)?;
        if envoy.version.as_str() < "1.37" && index == 1 {
            // The filter denies the CONNECT: no rule names beta on that port.
            assert_eq!((response.connect_status, decisions[index].effect.as_str()), (403, "deny"));
        } else {
            assert_denied(&response, &decisions[index], 421, "tunnel_mismatch")?;
        }
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn a_connection_without_a_server_name_is_misdirected(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    // For an address in the URL, curl sends no server name. The CONNECT names alpha.
    let client = gateway.client().insecure().connecting_to(format!("{ALPHA}:{}", hosts.port()));
    let request = Request::get(hosts.url("127.0.0.1", "/")).header(format!("Host: {ALPHA}:{}", hosts.port()));
    let response = client.send(&request)?;
    assert_denied(&response, &gateway.only_decision()?, 421, "missing_sni")?;
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn an_upstream_with_the_certificate_of_another_host_gives_no_content(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    // Beta comes first, so that Envoy has a session of beta's that it could misuse.
    assert_eq!(gateway.client().get(hosts.url(BETA, "/"))?.status, 200);
    gateway.only_decision()?;
    let response = gateway.client().get(hosts.url(IMPOSTOR, "/"))?;
    assert_eq!(response.status, 503, "{response:#?}");
    assert!(!response.content.contains("says hello"), "{response:#?}");
    assert_eq!(response.header("x-weir-decision"), Some("certificate_not_verified"));
    let decisions = gateway.decisions(2)?;
    assert_eq!((decisions[1].status, decisions[1].reason.as_str()), (503, "certificate_not_verified"));
    assert!(decisions[1].failure.as_deref().is_some_and(|why| why.contains("CERTIFICATE_VERIFY_FAILED")));
    assert_eq!(decisions[1].upstream_names, [""; 0]);
    assert_eq!(hosts.nginx.wait_served(1)?[0].sni, BETA);
    Ok(())
}

on_oldest_and_newest_envoy!(
    an_unlisted_host_is_refused_with_a_reason,
    a_forbidden_method_is_refused,
    a_forbidden_path_is_refused_however_it_is_spelled,
    the_upstream_reads_the_path_that_was_judged,
    a_forged_host_is_misdirected,
    a_tunnel_to_another_host_or_port_is_misdirected,
    a_connection_without_a_server_name_is_misdirected,
);
mod wrong_certificate {
    use super::an_upstream_with_the_certificate_of_another_host_gives_no_content;

    on_each_envoy!(an_upstream_with_the_certificate_of_another_host_gives_no_content);
}
