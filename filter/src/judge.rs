//! One request from facts to effect: gather, decide, and either prepare it for its upstream or answer it.
//!
//! Whatever fails on the way is a denial. There is no other way out.

use crate::configuration::Configuration;
use crate::counters::Counters;
use crate::decision_id::{DecisionId, DecisionIds};
use crate::facts::{Facts, Keep};
use crate::hostcalls::{FailedCall, Hostcalls};
use crate::proxy_credentials::ProxyCredentials;
use crate::rego::{Engine, Rego};
use crate::ruling::Ruling;
use crate::upstream::{self, Destination};
use crate::{denial, record};
use std::rc::Rc;
use thiserror::Error;
use weir_policy::{Decision, Effect, Reason, Tunnel};

/// What the host does next with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on.
    Continue,
    /// Nothing: it was answered here, or could not even be, and no part of it may go on.
    Stop,
}

/// What outlives a configuration: one of these for each instance of the filter.
#[derive(Default)]
pub struct Instance {
    ids: DecisionIds,
    counters: Counters,
}

/// Judges the requests of one configuration.
pub struct Judge {
    configuration: Option<Configuration>,
    /// The policy's version, as every record has it.
    policy_version: Option<String>,
    instance: Rc<Instance>,
}

/// Why an allowed request cannot go on.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Call(#[from] FailedCall),
    #[error("a request was allowed without an authority to send it to")]
    NoAuthority,
    #[error("a request was allowed to go to an upstream that its rule does not have")]
    Upstream,
}

impl Judge {
    /// Without a configuration everything is denied.
    pub fn new(configuration: Option<Configuration>, instance: Rc<Instance>) -> Self {
        let policy_version = configuration.as_ref().map(|configuration| configuration.version.to_string());
        Self { configuration, policy_version, instance }
    }

    /// Decides on the request of `host` and carries the decision out.
    pub fn judge(&self, host: &impl Hostcalls) -> Verdict {
        let id = self.instance.ids.draw();
        let rego = self.configuration.as_ref().and_then(|configuration| configuration.rego.as_ref());
        let keep = if rego.is_some_and(Rego::reads_headers) { Keep::Headers } else { Keep::Facts };
        let headers = host.request_headers();
        let read =
            headers.as_ref().map_err(|failure| *failure).and_then(|headers| Facts::read(headers, keep));
        let (facts, gathered) = match read {
            Ok(facts) => (facts, Ok(())),
            Err(failure) => (Facts::default(), Err(Failure::from(failure))),
        };
        let mut ruling = self.rule(host, id, &facts);
        if gathered.is_ok() && ruling.decision.effect == Effect::Deny {
            return self.deny(host, &ruling);
        }
        match gathered.and_then(|()| allow(host, &ruling)) {
            Ok(()) => {
                if facts.asks_for_tunnel() {
                    self.instance.counters.count_tunnel(host);
                } else {
                    self.instance.counters.count(host, Effect::Allow, ruling.decision.reason);
                }
                Verdict::Continue
            }
            Err(failure) => {
                host.warn(&format!("decision {id}: {failure}"));
                ruling.decision = ruling.decision.overruled(Reason::FilterFailure);
                self.deny(host, &ruling)
            }
        }
    }

    fn rule<'a>(&'a self, host: &impl Hostcalls, id: DecisionId, facts: &'a Facts<'a>) -> Ruling<'a> {
        let Some(Configuration { policy, judge_connect_host, proxy_credentials, rego, version: _ }) =
            &self.configuration
        else {
            let decision = Decision::deny(Reason::PolicyMissing, None, None);
            return Ruling { id, policy_version: None, facts, decision, words: None };
        };
        let refuses_client =
            |asked: &ProxyCredentials| facts.to_proxy && !asked.accept(&facts.proxy_authorization.0);
        // Both come before any policy, so that no mode of a policy allows the request.
        let refused = if proxy_credentials.as_ref().is_some_and(refuses_client) {
            Some(Reason::ProxyCredentialsRequired)
        } else if facts.ambiguous_length {
            // A server that reads another length takes the rest of the content for a request that nobody judged.
            Some(Reason::MalformedRequest)
        } else {
            None
        };
        if let Some(reason) = refused {
            let decision = Decision::deny(reason, None, None);
            return Ruling {
                id,
                policy_version: self.policy_version.as_deref(),
                facts,
                decision,
                words: None,
            };
        }
        let mut words = None;
        let mut decision = match rego {
            _ if facts.asks_for_tunnel() => {
                policy.admit(&Tunnel { authority: &facts.authority, judge_host: *judge_connect_host })
            }
            _ if facts.unopened => policy.pass(&facts.connection()),
            Some(rego) => {
                let opinion = rego.decide(policy, facts);
                if let Some(failure) = opinion.failure {
                    host.warn(&format!("decision {id}: the Rego policy gave no answer: {failure}"));
                }
                words = opinion.words;
                opinion.decision
            }
            None => policy.decide(&facts.request()),
        };
        if decision.effect == Effect::Allow && facts.claims_https_without_tls() && !facts.asks_for_tunnel() {
            decision = decision.overruled(Reason::SchemeNotAllowed);
        }
        Ruling { id, policy_version: self.policy_version.as_deref(), facts, decision, words }
    }

    fn deny(&self, host: &impl Hostcalls, ruling: &Ruling<'_>) -> Verdict {
        self.instance.counters.count(host, Effect::Deny, ruling.decision.reason);
        // A denial stands without its record, and without its answer: the request then waits until it times out.
        for failure in [record::export(host, ruling), host.send_local_response(&denial::response(ruling))] {
            if let Err(failure) = failure {
                host.warn(&format!("decision {}: {failure}", ruling.id));
            }
        }
        Verdict::Stop
    }
}

/// Prepares an allowed request for its upstream. The record comes last: it must not say `allow` of a request that did
/// not go on.
fn allow(host: &impl Hostcalls, ruling: &Ruling<'_>) -> Result<(), Failure> {
    let decision = &ruling.decision;
    let authority = decision.authority.as_ref().ok_or(Failure::NoAuthority)?;
    if ruling.facts.asks_for_tunnel() {
        upstream::prepare_tunnel(host, ruling.facts, authority)?;
    } else {
        let upstream = ruling.upstream();
        if upstream.is_some() != decision.upstream.is_some() {
            return Err(Failure::Upstream);
        }
        let address_set = decision.address_set;
        let destination = Destination { authority, upstream, address_set };
        if ruling.facts.unopened {
            upstream::prepare_unopened(host, ruling.facts, &destination)?;
        } else {
            upstream::prepare(host, ruling.facts, &destination)?;
        }
    }
    record::export(host, ruling)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "rego")]
    use crate::configuration::tests::allowing_method;
    use crate::configuration::tests::{asking_for, plugin_configuration};
    use crate::hostcalls::in_memory::InMemory;
    use proptest::prelude::*;
    use std::collections::HashSet;

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

    fn judge_with(judge_connect_host: bool) -> Judge {
        let configuration =
            Configuration::try_from(plugin_configuration(DOCUMENT, judge_connect_host)).unwrap();
        Judge::new(Some(configuration), Rc::default())
    }

    fn judge() -> Judge {
        judge_with(false)
    }

    /// Judges once, and checks what holds for every request.
    fn judged(judge: &Judge, host: &InMemory) -> Verdict {
        let verdict = judge.judge(host);
        assert_eq!(verdict == Verdict::Stop, host.response().is_some());
        assert_eq!(host.calls_of("increment_metric"), 1);
        let record = host.record().expect("a record of every decision");
        let expected = if verdict == Verdict::Continue { "allow" } else { "deny" };
        assert_eq!(record["effect"], expected);
        if let Some(response) = host.response() {
            let body: serde_json::Value = serde_json::from_slice(&response.body).expect("a body of JSON");
            let error =
                if record["reason"] == "malformed_request" { "invalid_request" } else { "denied_by_policy" };
            assert_eq!(body["error"], error);
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

    #[cfg(feature = "rego")]
    #[test]
    fn what_rego_denies_is_denied_in_its_words() {
        let judge = Judge::new(Some(Configuration::try_from(allowing_method("GET")).unwrap()), Rc::default());
        let ask = |method: &[u8]| {
            InMemory::tls(Some(b"a.example"))
                .with_header(":authority", b"a.example")
                .with_header(":method", method)
        };
        allowed(&judge, &ask(b"GET"));
        let host = ask(b"PUT");
        assert_eq!(denied(&judge, &host), (451, "denied_by_rego".to_owned()));
        assert_eq!(host.record().unwrap()["rego_reason"], "no");
        // Not text, and the policy reads it.
        let host = ask(b"G\xff");
        assert_eq!(judged(&judge, &host), Verdict::Stop);
    }

    #[test]
    fn an_allowed_https_request_goes_out_under_its_authority() {
        for name in ["a.example", "b.example"] {
            let host = InMemory::tls(Some(name.as_bytes())).with_header(":authority", name.as_bytes());
            allowed(&judge(), &host);
            // What the cluster sends and verifies, unless something else is set.
            assert_eq!(host.header(":authority").as_deref(), Some(name.as_bytes()));
            assert_eq!(host.filter_state("envoy.network.upstream_server_name"), None);
            assert_eq!(host.filter_state("envoy.network.upstream_subject_alt_names"), None);
            assert_eq!(host.warnings(), [] as [String; 0]);
        }
    }

    #[test]
    fn an_address_is_verified_as_it_is_written_in_certificates() {
        let document = "rules: [{id: a, effect: allow, hosts: ['[2001:db8::1]'], upstream: {ca: own.pem}}]";
        let configuration = Configuration::try_from(plugin_configuration(document, false)).unwrap();
        let host = InMemory::tls(Some(b"[2001:db8::1]")).with_header(":authority", b"[2001:db8::1]");
        allowed(&Judge::new(Some(configuration), Rc::default()), &host);
        let names = host.filter_state("envoy.network.upstream_subject_alt_names");
        assert_eq!(names.as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn a_plain_request_names_no_tls_upstream() {
        let host = InMemory::plain();
        allowed(&judge(), &host);
        assert_eq!(host.calls_of("call_foreign_function"), 0);
        assert_eq!(host.header(":authority").as_deref(), Some(b"a.example".as_slice()));
    }

    #[test]
    fn nothing_is_written_that_need_not_be() {
        let judge = judge();
        let (https, plain) = (InMemory::tls(Some(b"a.example")), InMemory::plain());
        judge.judge(&InMemory::plain());
        allowed(&judge, &https);
        assert_eq!(https.calls(), 1 + 1 + 1, "facts, record, count");
        allowed(&judge, &plain);
        assert_eq!(plain.calls_of("replace_header_map_value") + plain.calls_of("remove_header_map_value"), 0);
    }

    #[test]
    fn the_authority_goes_out_in_its_canonical_form() {
        for (sent, sni, expected) in [
            ("A.Example", "a.example", "a.example"),
            ("a.example.", "A.EXAMPLE.", "a.example"),
            ("a.example:443", "a.example", "a.example"),
            ("API.example:8443", "api.example", "api.example:8443"),
        ] {
            let host = InMemory::tls(Some(sni.as_bytes()))
                .with_header(":authority", sent.as_bytes())
                .with_header(":path", b"/v1/x");
            allowed(&judge(), &host);
            assert_eq!(host.header(":authority").unwrap(), expected.as_bytes(), "{sent}");
        }
    }

    #[test]
    fn the_scheme_goes_out_as_it_was_judged() {
        let host = InMemory::tls(Some(b"a.example")).with_header(":scheme", b"http");
        allowed(&judge(), &host);
        assert_eq!(host.header(":scheme").as_deref(), Some(b"https".as_slice()));
    }

    #[test]
    fn a_length_that_can_be_read_in_two_ways_is_refused_in_every_mode() {
        for mode in ["enforce", "report", "open"] {
            let document = format!("mode: {mode}\nallowed_domains: [a.example]");
            let configuration = Configuration::try_from(plugin_configuration(&document, false)).unwrap();
            let judge = Judge::new(Some(configuration), Rc::default());
            let ask = |length: &[u8]| {
                InMemory::tls(Some(b"a.example"))
                    .with_header(":authority", b"a.example")
                    .also_header("content-length", length)
            };
            assert_eq!(denied(&judge, &ask(b"+5")), (400, "malformed_request".to_owned()), "{mode}");
            allowed(&judge, &ask(b"5"));
        }
    }

    #[test]
    fn https_is_not_sent_on_without_tls() {
        let host = InMemory::plain().with_header(":scheme", b"https");
        assert_eq!(denied(&judge(), &host), (403, "scheme_not_allowed".to_owned()));
        assert!(
            String::from_utf8(host.response().unwrap().body).unwrap().contains("ask the proxy for a CONNECT")
        );
    }

    #[test]
    fn forged_headers_are_stripped_and_the_others_stay() {
        let forged = [
            "x-weir-decision",
            "x-envoy-original-path",
            "x-envoy-retry-on",
            "x-forwarded-host",
            "x-forwarded-for",
            "x-request-id",
            "proxy-authorization",
            "proxy-connection",
        ];
        let host = forged
            .iter()
            .fold(InMemory::tls(Some(b"a.example")), |host, name| host.also_header(name, b"\xff"));
        let host = host
            .also_header("authorization", b"Bearer x")
            .also_header("x-weird", b"1")
            .also_header("x-forwarded-proto", b"https");
        allowed(&judge(), &host);
        for name in forged {
            assert_eq!(host.header(name), None, "{name}");
        }
        for name in ["authorization", "x-weird", "x-forwarded-proto"] {
            assert!(host.header(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_authority_other_than_the_sni_is_misdirected() {
        for authority in ["b.example", "a.example.b.example", "xa.example"] {
            let host = InMemory::tls(Some(b"a.example")).with_header(":authority", authority.as_bytes());
            assert_eq!(denied(&judge(), &host), (421, "sni_mismatch".to_owned()), "{authority}");
        }
        for sni in ["127.0.0.1", "::1", "*.example", "a"] {
            let host = InMemory::tls(Some(sni.as_bytes()));
            assert_eq!(denied(&judge(), &host), (421, "sni_mismatch".to_owned()), "{sni}");
        }
    }

    #[test]
    fn tls_without_sni_is_misdirected_also_where_plain_http_is_allowed() {
        assert_eq!(denied(&judge(), &InMemory::tls(None)), (421, "missing_sni".to_owned()));
    }

    #[test]
    fn a_request_other_than_its_tunnel_is_misdirected() {
        let through = |tunnel: &[u8]| InMemory::tls(Some(b"a.example")).in_tunnel(tunnel);
        allowed(&judge(), &through(b"a.example:443"));
        allowed(&judge(), &through(b"A.example.:443"));
        for tunnel in [
            b"b.example:443".as_slice(),
            b"a.example:8443",
            b"a.example:80",
            b"",
            b"\xff:443",
            b"a.example:443,",
        ] {
            let host = through(tunnel);
            if tunnel.is_empty() {
                // Redirected: no CONNECT carries it.
                allowed(&judge(), &host);
            } else {
                assert_eq!(denied(&judge(), &host), (421, "tunnel_mismatch".to_owned()), "{tunnel:?}");
            }
        }
    }

    #[test]
    fn a_connect_is_admitted_by_port_and_by_host_only_where_asked() {
        let connect = |authority: &str| {
            InMemory::to_proxy()
                .with_header(":method", b"CONNECT")
                .with_header(":authority", authority.as_bytes())
                .without_header(":path")
                .also_header("x-envoy-upstream-rq-timeout-ms", b"1")
        };
        let host = connect("Unknown.example:443");
        allowed(&judge(), &host);
        assert_eq!(host.header("x-envoy-upstream-rq-timeout-ms"), None);
        assert_eq!(host.counter("weir_tunnels"), 1, "no decision: what comes out of it is judged by itself");
        assert_eq!(denied(&judge_with(true), &connect("unknown.example:443")).1, "host_not_allowed");
        allowed(&judge_with(true), &connect("a.example:443"));
        assert_eq!(denied(&judge(), &connect("a.example:22")).1, "port_not_allowed");
        assert_eq!(denied(&judge(), &connect("127.0.0.1:443")).1, "address_literal");
        assert_eq!(denied(&judge(), &connect("a.example")).1, "invalid_host");
    }

    #[test]
    fn each_tunnel_has_an_upstream_connection_of_its_own() {
        for (authority, key) in [("a.example:443", "a.example:443"), ("B.example.:80", "b.example:80")] {
            let host = InMemory::to_proxy()
                .with_header(":method", b"CONNECT")
                .with_header(":authority", authority.as_bytes());
            allowed(&judge(), &host);
            assert_eq!(host.filter_state("envoy.network.upstream_server_name").as_deref(), Some(key));
            assert_eq!(host.filter_state("envoy.network.upstream_subject_alt_names"), None);
        }
    }

    #[test]
    fn a_connect_that_is_not_to_the_proxy_is_no_connect_for_us() {
        let inside = InMemory::plain().in_tunnel(b"free.example:80");
        let redirected = InMemory::plain();
        for host in [inside, redirected, InMemory::tls(Some(b"free.example")), InMemory::tls(None)] {
            let host = host
                .with_header(":method", b"CONNECT")
                .with_header(":authority", b"free.example:80")
                .without_header(":path");
            denied(&judge(), &host);
        }
    }

    #[test]
    fn the_address_set_of_the_allowing_rule_is_exported() {
        let host = InMemory::tls(Some(b"lab.example")).with_header(":authority", b"lab.example");
        allowed(&judge(), &host);
        assert_eq!(host.filter_state("wasm.weir_addresses").as_deref(), Some("0"));
        let other = InMemory::tls(Some(b"a.example"));
        allowed(&judge(), &other);
        assert_eq!(other.filter_state("wasm.weir_addresses"), None);
    }

    #[test]
    fn what_has_an_upstream_of_its_own_goes_nowhere_else() {
        // Host and port to connect to, server name, names to verify.
        for (name, expected) in [
            ("elsewhere.example", ["inner.example", "8443", "inner.example", "inner.example"]),
            ("renamed.example", ["renamed.example", "443", "sni.example", "y.example,z.example"]),
            ("pinned.example", ["pinned.example", "443", "pinned.example", "pinned.example"]),
        ] {
            let host = InMemory::tls(Some(name.as_bytes())).with_header(":authority", name.as_bytes());
            allowed(&judge(), &host);
            let state = |key: &str| host.filter_state(key).unwrap();
            let set = [
                state("envoy.upstream.dynamic_host"),
                state("envoy.upstream.dynamic_port"),
                state("envoy.network.upstream_server_name"),
                state("envoy.network.upstream_subject_alt_names"),
            ];
            assert_eq!(set, expected, "{name}");
            assert_eq!(host.header(":authority").as_deref(), Some(name.as_bytes()));
            assert_eq!(host.record().unwrap()["upstream"], format!("{}:{}", expected[0], expected[1]));
        }
        let other = InMemory::tls(Some(b"a.example"));
        allowed(&judge(), &other);
        assert_eq!(other.filter_state("envoy.upstream.dynamic_host"), None);
        assert_eq!(other.header("x-weir-upstream"), None);
    }

    #[test]
    fn the_cluster_of_an_upstream_is_named_by_the_filter_alone() {
        let key = {
            let policy = weir_policy::compile(DOCUMENT).unwrap();
            policy.upstreams().next().unwrap().key()
        };
        let tls = || InMemory::tls(Some(b"elsewhere.example"));
        for (host, kind) in [
            (tls(), "https"),
            (tls().with_header("upgrade", b"WebSocket"), "https_upgrade"),
            (tls().with_header("upgrade", b"h2c"), "https"),
            (InMemory::plain(), "http"),
        ] {
            let host = host
                .with_header(":authority", b"elsewhere.example")
                .also_header("x-weir-upstream", b"forged");
            allowed(&judge(), &host);
            let cluster = format!("weir_upstream_{key:016x}_{kind}");
            assert_eq!(host.header("x-weir-upstream"), Some(cluster.into_bytes()));
        }
        let forged = InMemory::tls(Some(b"a.example")).also_header("x-weir-upstream", b"forged");
        allowed(&judge(), &forged);
        assert_eq!(forged.header("x-weir-upstream"), None);
    }

    fn passing() -> Judge {
        let document = "rules: [{id: pinned, effect: allow, hosts: [pinned.example], tls: passthrough, ports: [443, 8443],
            addresses: [10.0.0.0/8]}, {id: moved, effect: allow, hosts: [moved.example], tls: passthrough, upstream: {host:
            there.example, port: 444}}, {id: opened, effect: allow, hosts: [a.example]}]";
        let configuration = plugin_configuration(document, false);
        Judge::new(Some(Configuration::try_from(configuration).unwrap()), Rc::default())
    }

    #[test]
    fn a_connection_that_is_not_opened_goes_to_the_name_that_was_judged() {
        for (server_name, authority, onward) in [
            ("pinned.example", "Pinned.example.:443", "pinned.example:443"),
            ("pinned.example", "pinned.example:8443", "pinned.example:8443"),
            ("moved.example", "moved.example:443", "there.example:444"),
        ] {
            let host = InMemory::unopened(server_name.as_bytes(), authority.as_bytes());
            allowed(&passing(), &host);
            assert_eq!(host.header(":authority").as_deref(), Some(onward.as_bytes()));
            assert_eq!(host.header("x-weir-server-name"), None);
            assert_eq!(host.record().unwrap()["scheme"], "https");
        }
        let host = InMemory::unopened(b"pinned.example", b"pinned.example:443");
        allowed(&passing(), &host);
        assert_eq!(host.filter_state("wasm.weir_addresses").as_deref(), Some("0"));
    }

    #[test]
    fn a_connection_that_no_rule_passes_through_is_refused() {
        for (server_name, authority, reason) in [
            (&b"a.example"[..], &b"a.example:443"[..], "tls_not_allowed"),
            (b"unknown.example", b"unknown.example:443", "host_not_allowed"),
            (b"", b"pinned.example:443", "missing_sni"),
            (b"\xff", b"pinned.example:443", "invalid_host"),
            (b"pinned.example", b"a.example:443", "tunnel_mismatch"),
            (b"pinned.example", b"-", "tunnel_mismatch"),
            (b"pinned.example", b"pinned.example", "port_not_allowed"),
            (b"pinned.example", b"pinned.example:22", "port_not_allowed"),
        ] {
            assert_eq!(
                denied(&passing(), &InMemory::unopened(server_name, authority)).1,
                reason,
                "{authority:?}"
            );
        }
    }

    #[test]
    fn a_client_cannot_say_that_it_is_passed_through() {
        for host in [InMemory::to_proxy(), InMemory::plain(), InMemory::tls(Some(b"pinned.example"))] {
            let host = host
                .with_header(":authority", b"pinned.example:443")
                .with_header("x-weir-server-name", b"pinned.example");
            denied(&passing(), &host);
        }
    }

    #[test]
    fn without_a_policy_everything_is_denied() {
        let judge = Judge::new(None, Rc::default());
        let connect = InMemory::to_proxy()
            .with_header(":method", b"CONNECT")
            .with_header(":authority", b"a.example:443");
        for host in [InMemory::plain(), InMemory::tls(Some(b"a.example")), connect] {
            assert_eq!(denied(&judge, &host), (403, "policy_missing".to_owned()));
        }
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_judged_in_every_fact() {
        for (name, expected) in [
            (":authority", Verdict::Stop),
            (":method", Verdict::Stop),
            (":path", Verdict::Continue),
            (":scheme", Verdict::Continue),
            ("x-weir-a", Verdict::Continue),
            ("accept", Verdict::Continue),
        ] {
            let host = InMemory::tls(Some(b"a.example")).with_header(name, b"/\xff");
            assert_eq!(judged(&judge(), &host), expected, "{name}: {:?}", host.record());
        }
        assert_eq!(denied(&judge(), &InMemory::tls(Some(b"a.example\xff"))).0, 421);
        assert_eq!(denied(&judge(), &InMemory::tls(Some(b"a.example")).in_tunnel(b"\xff")).0, 421);
    }

    #[test]
    fn any_call_that_fails_on_the_way_to_an_allow_is_a_denial() {
        let request = || {
            InMemory::tls(Some(b"elsewhere.example"))
                .with_header(":authority", b"ELSEWHERE.example")
                .with_header(":scheme", b"http")
                .in_tunnel(b"elsewhere.example:443")
                .also_header("x-weir-a", b"1")
        };
        let whole = request();
        allowed(&judge(), &whole);
        let mut failed = HashSet::new();
        for position in 0..whole.calls() {
            let host = request().fails_at(position);
            let verdict = judge().judge(&host);
            let call = host.call_at(position);
            failed.insert(call);
            if ["define_metric", "increment_metric"].contains(&call) {
                assert_eq!(verdict, Verdict::Continue, "counting decides nothing");
                continue;
            }
            assert_eq!(verdict, Verdict::Stop, "{position}: {call}");
            assert_eq!(host.response().expect("an answer").status, 403, "{position}: {call}");
            assert_eq!(host.record().expect("a record")["reason"], "filter_failure", "{position}: {call}");
            assert_eq!(host.counter("weir_decisions.effect.deny.reason.filter_failure"), 1);
            assert_eq!(host.counted(), 1);
            assert!(host.warnings().iter().any(|warning| warning.contains(call)), "{:?}", host.warnings());
        }
        assert_eq!(failed.len(), 7, "every kind of call has failed once: {failed:?}");
    }

    #[test]
    fn a_denial_stands_when_it_cannot_be_told() {
        for broken in ["send_local_response", "set_property", "define_metric"] {
            let host = InMemory::tls(Some(b"evil.example")).broken(broken);
            assert_eq!(judge().judge(&host), Verdict::Stop, "{broken}");
        }
    }

    #[test]
    fn a_failure_before_the_facts_are_known_is_told_as_one() {
        let host = InMemory::plain().broken("get_header_map_pairs");
        assert_eq!(denied(&judge(), &host), (403, "filter_failure".to_owned()));
    }

    #[test]
    fn the_record_of_a_hostile_request_is_valid_and_bounded() {
        let path = [b"/\"},{\\\n\xff\xe2\x80\xae".as_slice(), &[b'a'; 5000], b"?secret=1"].concat();
        let host = InMemory::tls(Some(b"a.example"))
            .with_header(":authority", &[b'\xff'; 5000])
            .with_header(":method", &[b'"'; 5000])
            .with_header(":path", &path);
        denied(&judge(), &host);
        assert!(host.filter_state("wasm.weir").unwrap().len() < 4096);
        assert!(host.response().unwrap().body.len() < 4096);
    }

    #[test]
    fn the_record_has_its_keys_in_order_and_no_query() {
        let host = InMemory::tls(Some(b"api.example"))
            .with_header(":authority", b"api.example:8443")
            .with_header(":path", b"/v1/x?token=secret");
        let judge = judge();
        allowed(&judge, &host);
        let record = host.record().unwrap();
        let (id, version) =
            (record["decision_id"].as_str().unwrap(), record["policy_version"].as_str().unwrap());
        let expected = format!(
            "{{\"effect\":\"allow\",\"reason\":\"allowed\",\"rule\":\"api\",\"decision_id\":\"{id}\",\"policy_version\":\"{version}\",\
             \"host\":\"api.example\",\"port\":8443,\"scheme\":\"https\",\"method\":\"GET\",\"path\":\"/v1/x\"}}"
        );
        assert_eq!(host.filter_state("wasm.weir").unwrap(), expected);
        assert_eq!(version.len(), 16);
    }

    #[test]
    fn what_would_be_denied_goes_out_and_its_record_says_so() {
        let document = "mode: report
rules:
- {id: a, effect: allow, hosts: [a.example], methods: [GET], addresses: [10.0.0.0/8]}
- {id: never, effect: deny, paths: [/never], mode: enforce}
";
        let configuration = Configuration::try_from(plugin_configuration(document, false)).unwrap();
        let judge = Judge::new(Some(configuration), Rc::default());
        let request = |method: &[u8], path: &[u8]| {
            InMemory::tls(Some(b"a.example")).with_header(":method", method).with_header(":path", path)
        };
        let host = request(b"POST", b"/");
        allowed(&judge, &host);
        let record = host.filter_state("wasm.weir").unwrap();
        assert!(
            record.starts_with(r#"{"effect":"allow","reason":"method_not_allowed","rule":"a","#),
            "{record}"
        );
        assert!(record.ends_with(r#","would_deny":true}"#), "{record}");
        assert_eq!(host.filter_state("wasm.weir_addresses").as_deref(), Some("0"));
        assert_eq!(host.counter("weir_decisions.effect.allow.reason.method_not_allowed"), 1);
        let host = request(b"GET", b"/");
        allowed(&judge, &host);
        assert_eq!(host.record().unwrap().get("would_deny"), None);
        assert_eq!(denied(&judge, &request(b"POST", b"/never")).1, "denied_by_rule");
        let host = request(b"POST", b"/").also_header("x-weir-a", b"1").broken("remove_header_map_value");
        assert_eq!(denied(&judge, &host), (403, "filter_failure".to_owned()));
        assert_eq!(host.record().unwrap().get("would_deny"), None);
    }

    #[test]
    fn the_hint_names_what_was_refused_and_the_rule() {
        let api = |method: &[u8], path: &[u8]| {
            let host = InMemory::tls(Some(b"api.example"))
                .with_header(":authority", b"api.example")
                .with_header(":method", method)
                .with_header(":path", path);
            denied(&judge(), &host);
            let body: serde_json::Value = serde_json::from_slice(&host.response().unwrap().body).unwrap();
            body["hint"].as_str().unwrap().to_owned()
        };
        assert!(api(b"POST", b"/v1/x").starts_with("POST to 'api.example': "));
        assert!(api(b"POST", b"/v1/x").ends_with(" (rule 'api')"));
        assert!(api(b"GET", b"/v1/secret").ends_with(" (rule 'never')"));
    }

    #[test]
    fn every_decision_has_an_id_of_its_own() {
        let judge = judge();
        let ids: HashSet<_> = (0..100)
            .map(|_| {
                let host = InMemory::plain();
                judged(&judge, &host);
                host.record().unwrap()["decision_id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), 100);
    }

    #[test]
    fn without_credentials_that_are_asked_for_nothing_gets_through_the_explicit_proxy() {
        let open = format!("mode: open\n{DOCUMENT}");
        let judge = || {
            let configuration = Configuration::try_from(asking_for(&open, &[b"YTox", b"Yjoy"])).unwrap();
            Judge::new(Some(configuration), Rc::default())
        };
        let requests = || {
            let connect = InMemory::to_proxy()
                .with_header(":method", b"CONNECT")
                .with_header(":authority", b"a.example:443")
                .without_header(":path");
            [connect, InMemory::to_proxy()]
        };
        for host in requests() {
            assert_eq!(denied(&judge(), &host), (407, "proxy_credentials_required".to_owned()));
            let challenge = ("proxy-authenticate".into(), "Basic realm=\"weir\"".into());
            assert!(host.response().unwrap().headers.contains(&challenge));
            assert_eq!(host.counter("weir_decisions.effect.deny.reason.proxy_credentials_required"), 1);
        }
        for value in [b"Basic YTo".as_slice(), b"Basic \xff", b"Bearer YTox"] {
            for host in requests().map(|host| host.also_header("proxy-authorization", value)) {
                denied(&judge(), &host);
                let record = host.record().unwrap().to_string();
                let body = String::from_utf8(host.response().unwrap().body).unwrap();
                for text in [record, body, host.warnings().concat()] {
                    assert!(!text.contains("YTo"), "{text}");
                }
            }
        }
        for host in requests() {
            let twice = host
                .also_header("proxy-authorization", b"Basic YTox")
                .also_header("proxy-authorization", b"Basic YTox");
            assert_eq!(denied(&judge(), &twice).0, 407);
        }
        for host in requests() {
            let host = host.also_header("proxy-authorization", b"basic Yjoy");
            assert_eq!(judge().judge(&host), Verdict::Continue);
            assert_eq!(host.header("proxy-authorization"), None);
        }
    }

    #[test]
    fn credentials_are_asked_for_at_the_explicit_proxy_alone() {
        let judge = Judge::new(
            Some(Configuration::try_from(asking_for(DOCUMENT, &[b"YTox"])).unwrap()),
            Rc::default(),
        );
        allowed(&judge, &InMemory::plain());
        allowed(&judge, &InMemory::tls(Some(b"a.example")).in_tunnel(b"a.example:443"));
        allowed(&judge, &InMemory::tls(Some(b"a.example")));
    }

    /// Bytes that come near to what is allowed, and any bytes at all.
    fn hostile(near: &'static str) -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(near.replace("\\", "").into_bytes()),
            proptest::string::bytes_regex(&format!("(?i-u){near}[.:,@0-9\\xff]{{0,3}}")).unwrap(),
            proptest::collection::vec(any::<u8>(), 0..300),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_pass_under_another_name_than_their_connections(
            authority in hostile("a\\.example"),
            sni in proptest::option::of(hostile("a\\.example")),
            tunnel in proptest::option::of(hostile("a\\.example:443")),
            method in hostile("GET"),
            path in hostile("/"),
            judge_connect_host in any::<bool>(),
        ) {
            let host = InMemory::tls(sni.as_deref())
                .with_header(":authority", &authority)
                .with_header(":method", &method)
                .with_header(":path", &path);
            let host = tunnel.iter().fold(host, |host, tunnel| host.in_tunnel(tunnel));
            if judged(&judge_with(judge_connect_host), &host) == Verdict::Continue {
                prop_assert_eq!(host.filter_state("envoy.network.upstream_server_name"), None);
                let name = String::from_utf8(host.header(":authority").unwrap()).unwrap();
                let sni = String::from_utf8(sni.unwrap()).unwrap().to_ascii_lowercase();
                prop_assert_eq!(sni.trim_end_matches('.'), name);
            }
        }
    }
}
