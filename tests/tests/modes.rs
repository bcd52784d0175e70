//! Report and open mode: Envoy forwards and marks requests that the rules deny, and still denies requests that are
//! invalid or lead to non-public addresses.

use anyhow::Result;
use e2e::{ALPHA, BETA, EnvoyBinary, INWARD, Request, Run, RunningGateway, ServerOptions, UpstreamHosts};

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let policy = format!("mode: report\n{}", hosts.policy());
    let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
    Ok((hosts, gateway))
}

fn in_report_mode_a_forbidden_request_goes_out_and_is_said(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let response = gateway.client().send(&Request::get(hosts.url(ALPHA, "/")).method("POST"))?;
    assert_ne!(response.status, 403, "{response:#?}");
    assert_eq!(response.header("x-weir-decision"), None);
    let decision = gateway.only_decision()?;
    assert_eq!((decision.effect.as_str(), decision.reason.as_str()), ("allow", "method_not_allowed"));
    assert_eq!(decision.rule.as_deref(), Some("alpha-read"));
    assert!(decision.would_deny);
    assert_eq!(hosts.nginx.wait_served(1)?[0].sni, ALPHA);
    Ok(())
}

fn in_report_mode_an_allowed_request_is_nothing_to_report(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    assert_eq!(gateway.client().get(hosts.url(ALPHA, "/"))?.status, 200);
    assert!(!gateway.only_decision()?.would_deny);
    Ok(())
}

fn in_report_mode_a_forged_host_is_still_misdirected(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let forged = Request::get(hosts.url(ALPHA, "/")).header(format!("Host: {BETA}:{}", hosts.port()));
    assert_eq!(gateway.client().send(&forged)?.status, 421);
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn in_report_mode_a_name_that_leads_inward_is_still_refused(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let response = gateway.client().get(hosts.url(INWARD, "/"))?;
    assert_eq!((response.status, response.header("x-weir-decision")), (403, Some("address_not_allowed")));
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

on_oldest_and_newest_envoy!(
    in_report_mode_a_forbidden_request_goes_out_and_is_said,
    in_report_mode_an_allowed_request_is_nothing_to_report,
    in_report_mode_a_forged_host_is_still_misdirected,
    in_report_mode_a_name_that_leads_inward_is_still_refused,
);
