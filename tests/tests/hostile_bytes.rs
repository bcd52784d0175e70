//! Bytes that are not UTF-8: the filter judges them like other bytes, and the requests after them.

use anyhow::Result;
use e2e::{ALPHA, EnvoyBinary, Request, Run, ServerOptions, UpstreamHosts};

fn a_header_with_byte_ff_changes_nothing_for_a_hundred_requests_after_it(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
    let allowed = Request::get(hosts.url(ALPHA, "/"));
    let denied = allowed.clone().method("POST");
    let mut requests = vec![
        allowed.clone().header(b"x-raw: \xff".to_vec()),
        denied.clone().header(b"x-raw: \xff\xfe".to_vec()),
        allowed.clone().header(b"x-forwarded-for: \xff".to_vec()).header(b"cookie: \xc3\x28".to_vec()),
    ];
    for _ in 0..50 {
        requests.extend([allowed.clone(), denied.clone()]);
    }
    let responses = gateway.client().send_all(&requests)?;
    for (index, (request, response)) in requests.iter().zip(&responses).enumerate() {
        let expected = if request.method == "GET" { 200 } else { 403 };
        assert_eq!(response.status, expected, "request {index}: {response:#?}");
    }
    let decisions = gateway.decisions(requests.len())?;
    assert!(
        decisions.iter().all(|decision| matches!(decision.reason.as_str(), "allowed" | "method_not_allowed"))
    );
    hosts.nginx.wait_served(requests.iter().filter(|request| request.method == "GET").count())?;
    Ok(())
}

on_each_envoy!(a_header_with_byte_ff_changes_nothing_for_a_hundred_requests_after_it);
