//! Plain HTTP in absolute form: the same policy judges it.

use anyhow::Result;
use e2e::{ALPHA, BETA, EnvoyBinary, Request, Run, ServerOptions, UpstreamHosts};

fn absolute_form_is_judged_like_https(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let alpha = Request::get(hosts.plain_url(ALPHA, "/"));
    let requests = [
        (alpha.clone(), 200, "allowed"),
        (alpha.clone().method("POST"), 403, "method_not_allowed"),
        (Request::get(hosts.plain_url(BETA, "/")), 403, "scheme_not_allowed"),
        (Request::get("http://127.0.0.1:15000/"), 403, "address_literal"),
    ];
    for (index, (request, status, reason)) in requests.iter().enumerate() {
        let response = gateway.client().send(request)?;
        assert_eq!(response.status, *status, "{request:?}: {response:#?}");
        let decision = &gateway.decisions(index + 1)?[index];
        assert_eq!(
            (decision.reason.as_str(), decision.scheme.as_deref()),
            (*reason, Some("http")),
            "{request:?}"
        );
        assert_eq!(response.header("x-weir-decision"), (*status != 200).then_some(*reason));
    }
    let served = hosts.nginx.wait_served(1)?;
    assert_eq!((served[0].host.as_str(), served[0].sni.as_str()), (ALPHA, ""));
    Ok(())
}

on_oldest_and_newest_envoy!(absolute_form_is_judged_like_https);
