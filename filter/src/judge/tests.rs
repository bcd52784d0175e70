//! Tests that judge whole requests.

use super::*;
use crate::configuration::tests::{asking_for, plugin_configuration};
use crate::hostcalls::in_memory::{self, InMemory};

mod binding;
mod failure;
mod forwarding;
mod own_upstream;
mod passthrough;
mod refusal;
#[cfg(feature = "rego")]
mod rego;
mod report;
mod separation;
mod tunnel;

const DOCUMENT: &str = "
allowed_domains: [a.example, b.example]
unrestricted_domains: [free.example]
rules:
- {id: api, effect: allow, hosts: [api.example], ports: [443, 8443], methods: [GET], paths: [/v1/*]}
- {id: lab, effect: allow, hosts: [lab.example], schemes: [http, https], addresses: [10.0.0.0/8]}
- {id: never, effect: deny, hosts: [api.example], paths: [/v1/secret]}
- {id: elsewhere, effect: allow, hosts: [elsewhere.example], schemes: [http, https], upstream: {host: inner.example, port: 8443}}
- {id: renamed, effect: allow, hosts: [renamed.example], upstream: {sni: sni.example, names: [z.example, y.example]}}
- {id: pinned, effect: allow, hosts: [pinned.example], upstream: {ca: own.pem}}
";

/// A judge under this plugin configuration.
fn judge_of(configuration: Vec<u8>) -> Judge {
    let configuration = Configuration::try_from(configuration).unwrap();
    Judge::new(Some(Arc::new(configuration)), Arc::new(in_memory::counters()), Rc::default(), Rc::default())
}

fn judge_with(judge_connect_host: bool) -> Judge {
    judge_of(plugin_configuration(DOCUMENT, judge_connect_host))
}

fn judge() -> Judge {
    judge_with(false)
}

/// Judges once, and checks what holds for every request.
fn judged(judge: &Judge, host: &InMemory) -> Verdict {
    let verdict = judge.judge(host);
    assert_eq!(verdict == Verdict::Stop, host.response().is_some());
    assert_eq!(host.calls_of("increment_counter"), 1);
    let record = host.record().expect("a record of every decision");
    let expected = if verdict == Verdict::Continue { "allow" } else { "deny" };
    assert_eq!(record["effect"], expected);
    if let (Some(response), Some(body)) = (host.response(), host.body()) {
        let error = match record["reason"].as_str() {
            Some("malformed_request") => "invalid_request",
            Some("overloaded") => "upstream_failure",
            _ => "denied_by_policy",
        };
        assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&error.into(), &record["reason"]));
        let hint = body["hint"].as_str().unwrap();
        assert!(body["error"]["message"].as_str().unwrap().ends_with(hint));
        for key in ["reason", "rule", "decision_id", "host", "method", "path"] {
            assert_eq!(body[key], record[key], "{key}");
        }
        assert!(!body["hint"].as_str().unwrap().is_empty());
        let reason = body["reason"].as_str().unwrap();
        assert!(response.headers.contains(&("x-weir-decision".into(), reason.to_owned().into())));
    }
    verdict
}

fn denied(judge: &Judge, host: &InMemory) -> (u16, String) {
    assert_eq!(judged(judge, host), Verdict::Stop);
    assert_eq!(host.filter_state("envoy.network.upstream_server_name"), None);
    (host.response().unwrap().status, host.record().unwrap()["reason"].as_str().unwrap().to_owned())
}

fn allowed(judge: &Judge, host: &InMemory) {
    assert_eq!(judged(judge, host), Verdict::Continue, "{:?}", host.record());
}
