//! The variants: the HTTP filters that are compared in front of the router.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use weir_rego::{Bundle, Module};

use super::module;
use crate::envoy::{Manager, base64, bytes_value, wasm_filter};

/// The host of every request.
pub(super) const HOST: &str = "api.service.example";

/// The length of the alternatives' lists, whose cost grows with it.
const LISTED: usize = 1_000;

/// An equivalent Rego policy that the fast engine can evaluate.
const REGO: &str = r#"
package envoy.authz
import rego.v1
default allow := false
allow if {
    input.attributes.request.http.host in data.listed
    input.attributes.request.http.method == "GET"
}
"#;
/// An equivalent Rego policy that the fast engine cannot evaluate.
const REGO_WITH_AN_OBJECT: &str = r#"
package envoy.authz
import rego.v1
default allow := false
faults["host"] := 404 if not input.attributes.request.http.host in data.listed
faults["method"] := 405 if input.attributes.request.http.method != "GET"
allow if count(faults) == 0
"#;

/// A variant: its filters, or none.
pub(super) struct Variant {
    pub(super) name: String,
    filters: Vec<Value>,
    tells_connection: bool,
    /// The status of the variant's response.
    pub(super) status: u16,
}

impl Variant {
    /// The variant's part of an Envoy configuration.
    pub(super) fn manager(&self) -> Manager {
        Manager { filters: self.filters.clone(), tells_connection: self.tells_connection }
    }

    /// Lists every variant. The variant without a filter comes first.
    pub(super) fn all() -> Result<Vec<Variant>> {
        let nothing = module("WEIR_BENCH_PLUGIN").context("WEIR_BENCH_PLUGIN names no file")?;
        let ours = module("WEIR_FILTER_WASM").context("WEIR_FILTER_WASM names no file")?;
        let with_rego = module("WEIR_FILTER_REGO_WASM").context("WEIR_FILTER_REGO_WASM names no file")?;
        let mut all = vec![
            Variant::other("none", Vec::new()),
            Variant::other("wasm that does nothing", vec![wasm_filter(&nothing, &bytes_value(&[]))]),
        ];
        for hosts in [10, 1_000, 1_000_000] {
            let configuration = configuration(&listed(hosts, true))?;
            all.push(Variant::weir(format!("Weir, allow, {hosts} hosts"), &ours, &configuration));
        }
        for policy in [REGO, REGO_WITH_AN_OBJECT] {
            let (engine, configuration) = rego(policy, &listed(LISTED, true))?;
            let name = format!("Weir with Rego ({engine} engine), data of {LISTED}");
            all.push(Variant::weir(name, &with_rego, &configuration));
        }
        let configuration = configuration(&listed(10, false))?;
        let deny = Variant::weir("Weir, deny, 10 hosts".to_owned(), &ours, &configuration);
        all.push(Variant { status: 403, ..deny });
        let listed = listed(LISTED, true);
        all.push(Variant::other(&format!("RBAC, list of {LISTED}"), vec![rbac_list(&listed)]));
        all.push(Variant::other(&format!("RBAC, matcher tree of {LISTED}"), vec![rbac_tree(&listed)]));
        all.push(Variant::other(&format!("Lua, table of {LISTED}"), vec![lua(&listed)]));
        Ok(all)
    }

    fn weir(name: String, module: &Path, configuration: &Value) -> Variant {
        let filters = vec![wasm_filter(module, configuration)];
        Variant { name, filters, tells_connection: true, status: 200 }
    }

    fn other(name: &str, filters: Vec<Value>) -> Variant {
        Variant { name: name.to_owned(), filters, tells_connection: false, status: 200 }
    }
}

/// Host names, with or without the requested host in the middle.
fn listed(count: usize, with_host: bool) -> Vec<String> {
    let mut names: Vec<String> =
        (0..count).map(|name| format!("service-{name}.region-{}.cloud.example", name % 97)).collect();
    if with_host && let Some(name) = names.get_mut(count / 2) {
        *name = HOST.to_owned();
    }
    names
}

/// The filter's configuration for a policy that allows GET to these hosts.
fn configuration(hosts: &[String]) -> Result<Value> {
    let document =
        format!("rules: [{{id: listed, effect: allow, methods: [GET], hosts: [{}]}}]", hosts.join(","));
    let policy = weir_policy::compile(&document)?;
    Ok(envelope(&[b"WEIRCFG2\0\0\0\0\0\0\0\0", policy.as_bytes()].concat()))
}

/// Wraps a configuration as the control plane does.
fn envelope(content: &[u8]) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.GenericSecret",
        "secret": {"inline_bytes": base64(content)},
    })
}

/// Returns the engine that evaluates a Rego policy, and the filter's configuration for that policy.
fn rego(text: &str, hosts: &[String]) -> Result<(&'static str, Value)> {
    let bundle = Bundle {
        modules: vec![Module { name: "policy.rego".into(), text: text.into() }],
        data: json!({ "listed": hosts }).to_string(),
        query: "data.envoy.authz.allow".into(),
    };
    let plan = weir_rego::check(&bundle).map_err(|faults| anyhow!("the Rego policy: {faults:?}"))?.plan;
    let policy =
        weir_policy::compile("rego: {policy: policy.rego, data: data.json, query: data.envoy.authz.allow}")?;
    let bytes = plan.to_bytes();
    let length = u32::try_from(bytes.len())?.to_le_bytes();
    let head = [&b"WEIRCFG2\x02\0\0\0"[..], &length].concat();
    Ok((plan.engine().as_str(), envelope(&[head.as_slice(), policy.as_bytes(), &bytes].concat())))
}

fn rbac_list(hosts: &[String]) -> Value {
    let rule = |host: &String| json!({"header": {"name": ":authority", "string_match": {"exact": host}}});
    json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {"listed": {
            "permissions": hosts.iter().map(rule).collect::<Vec<_>>(),
            "principals": [{"any": true}],
        }}},
    }})
}

fn rbac_tree(hosts: &[String]) -> Value {
    let allow = json!({"action": {"name": "listed", "typed_config":
        {"@type": "type.googleapis.com/envoy.config.rbac.v3.Action", "name": "listed", "action": "ALLOW"}}});
    let map: serde_json::Map<String, Value> =
        hosts.iter().map(|host| (host.clone(), allow.clone())).collect();
    json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "matcher": {"matcher_tree": {
            "input": {"name": "authority", "typed_config": {
                "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                "header_name": ":authority",
            }},
            "exact_match_map": {"map": map},
        }},
    }})
}

fn lua(hosts: &[String]) -> Value {
    let table: Vec<String> = hosts.iter().map(|host| format!("[\"{host}\"]=true")).collect();
    let script = format!(
        "local listed = {{{}}}\n\
         function envoy_on_request(handle)\n\
           local headers = handle:headers()\n\
           if not listed[headers:get(\":authority\")] or headers:get(\":method\") ~= \"GET\" then\n\
             handle:respond({{[\":status\"] = \"403\"}}, \"denied\")\n\
           end\n\
         end",
        table.join(",")
    );
    json!({"name": "lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": script},
    }})
}
