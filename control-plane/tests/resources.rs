//! Snapshots of every resource in Envoy's JSON form, for each kind of node. A changed snapshot changes Envoy's
//! configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use prost_reflect::{DescriptorPool, DynamicMessage};
use weir::address::own::OwnAddresses;
use weir::envoy::capabilities::{Capabilities, Protocol, UpstreamTlsChoice};
use weir::envoy::capacity::Capacity;
use weir::envoy::filter_module::FilterModules;
use weir::envoy::gateway::{Deployment, Gateway, GatewayPolicy, NodeSettings};
use weir::envoy::resources;
use weir::envoy::resources::timeouts::Timeouts;
use weir::input::upstream_files::UpstreamFiles;
use weir::nodes::host_contexts::ContextLimits;
use weir_xds::{Resource, ResourceType, Snapshot};

const POLICY: &str = "
allowed_domains: [pypi.org]
rules:
  - id: internal
    effect: allow
    hosts: [artifacts.example.internal]
    addresses: [10.1.0.0/16, fd00:1::/64]
  - id: releases
    effect: allow
    hosts: ['*.releases.example']
";

/// Envoy's message descriptors, which `envoy-types` ships beside its code.
static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "envoy-types").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let descriptors = manifest.parent().unwrap().join("src/generated/types.bin");
    DescriptorPool::decode(std::fs::read(descriptors).unwrap().as_slice()).unwrap()
});

fn gateway_of(policy: &str) -> Gateway {
    let rules = weir_policy::compile(policy).unwrap();
    let upstream_files = Arc::new(UpstreamFiles::read(&rules, Path::new("/")).unwrap());
    let policy = GatewayPolicy { rules: Arc::new(rules), upstream_files, rego: None };
    let module = b"module".as_slice();
    let deployment = Deployment {
        filter: FilterModules { without_rego: module.into(), with_rego: module.into() },
        upstream_roots: "roots in PEM".into(),
        upstream_tls: UpstreamTlsChoice::Auto,
        host_contexts: ContextLimits::DEFAULT,
        timeouts: Timeouts::DEFAULT,
    };
    let node = NodeSettings {
        listen: "127.0.0.1:15001".parse().unwrap(),
        transparent: vec!["127.0.0.1:15002".parse().unwrap(), "[::1]:15002".parse().unwrap()],
        proxy_credentials: None,
        resolver: Some("127.0.0.1:5353".parse().unwrap()),
        own_addresses: OwnAddresses::default(),
        capacity: Capacity::FULL,
    };
    Gateway { policy: Arc::new(policy), deployment: Arc::new(deployment), node: Arc::new(node) }
}

fn gateway() -> Gateway {
    gateway_of(POLICY)
}

fn delta(version: &str) -> Capabilities {
    Capabilities::new(Some(version.parse().unwrap()), Protocol::Delta, UpstreamTlsChoice::Auto)
}

fn resources(version: &str) -> BTreeMap<String, serde_json::Value> {
    let snapshot = resources::build(&gateway(), delta(version)).unwrap();
    let all = ResourceType::ALL.into_iter().flat_map(|kind| snapshot.all(kind).map(move |it| (kind, it)));
    all.map(|(kind, resource)| (format!("{} {}", kind.as_str(), resource.name), json(resource))).collect()
}

fn json(resource: &Resource) -> serde_json::Value {
    let name = resource.body.type_url.rsplit('/').next().unwrap();
    let descriptor = DESCRIPTORS.get_message_by_name(name).unwrap();
    let message = DynamicMessage::decode(descriptor, resource.body.value.as_slice()).unwrap();
    serde_json::to_value(&message).unwrap()
}

/// Checks one snapshot for each resource, so that a reader finds the listener or cluster that has changed.
#[test]
fn resources_of_an_envoy_that_scopes_sessions_by_sni() {
    let resources = resources("1.40.0");
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_yaml_snapshot!("names", resources.keys().collect::<Vec<_>>());
        for (name, resource) in resources {
            insta::assert_yaml_snapshot!(name.trim_end_matches('_').replace([' ', '.', '/'], "_"), resource);
        }
    });
}

#[test]
fn an_older_envoy_differs_in_sessions_only() {
    let (new, old) = (resources("1.40.0"), resources("1.39.3"));
    let differing: Vec<_> = new.iter().filter(|(name, value)| old.get(*name) != Some(value)).collect();
    let names: Vec<_> = differing.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cluster dynamic_forward_proxy_cluster_https",
            "cluster dynamic_forward_proxy_cluster_https_upgrade"
        ]
    );
    for (name, _) in differing {
        assert_eq!(old[name]["transportSocket"]["typedConfig"]["maxSessionKeys"], 0);
    }
}

#[test]
fn an_envoy_without_certificates_on_demand_is_given_the_exact_names_in_advance() {
    let resources = resources("1.36.4");
    let chains = &resources["listener weir_intercept"]["filterChains"];
    let tls = &chains[0]["transportSocket"]["typedConfig"]["commonTlsContext"];
    let secrets = tls["tlsCertificateSdsSecretConfigs"].as_array().unwrap();
    let names: Vec<_> = secrets.iter().map(|secret| secret["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["artifacts.example.internal", "no-server-name.invalid", "pypi.org"]);
}

#[test]
fn the_same_gateway_has_the_same_versions() {
    let versions = || {
        let capabilities = Capabilities::new(None, Protocol::StateOfTheWorld, UpstreamTlsChoice::Auto);
        let snapshot = resources::build(&gateway(), capabilities).unwrap();
        let all =
            ResourceType::ALL.into_iter().flat_map(|kind| snapshot.all(kind).cloned().collect::<Vec<_>>());
        all.map(|resource| (resource.name.clone(), resource.version.clone())).collect::<Vec<_>>()
    };
    assert_eq!(versions(), versions());
}

fn newest(policy: &str) -> Snapshot {
    resources::build(&gateway_of(policy), delta("1.40.0")).unwrap()
}

#[test]
fn another_policy_changes_neither_clusters_nor_listeners_nor_routes() {
    let (one, other) = (
        newest("allowed_domains: [a.example]"),
        newest("rules: [{id: r, effect: allow, hosts: [b.example], addresses: [10.0.0.1]}]"),
    );
    for kind in [ResourceType::Cluster, ResourceType::Listener, ResourceType::Route] {
        assert_eq!(one.all(kind).collect::<Vec<_>>(), other.all(kind).collect::<Vec<_>>());
    }
    let filter = |snapshot: &Snapshot| snapshot.get(ResourceType::ExtensionConfig, "weir.policy").cloned();
    assert_ne!(filter(&one), filter(&other));
}

#[test]
fn a_host_with_a_context_has_a_cluster_that_differs_from_the_shared_one_in_sessions_only() {
    let snapshot = resources::build(&gateway(), delta("1.39.3")).unwrap();
    let shared = json(snapshot.get(ResourceType::Cluster, "dynamic_forward_proxy_cluster_https").unwrap());
    let mut own = json(&resources::host_cluster(&gateway(), &"pypi.org".parse().unwrap()));
    assert_eq!(own["name"], "dynamic_forward_proxy_cluster_https/pypi.org");
    let own_keys = own["transportSocket"]["typedConfig"]["maxSessionKeys"].take();
    assert_eq!(own_keys, 64);
    own["name"] = shared["name"].clone();
    own["transportSocket"]["typedConfig"]["maxSessionKeys"] = 0.into();
    assert_eq!(own.as_object_mut().unwrap().remove("altStatName"), Some(shared["name"].clone()));
    assert_eq!(own, shared);
}

#[test]
fn a_routed_host_without_a_cluster_is_never_served() {
    let snapshot = resources::build(&gateway(), delta("1.39.3")).unwrap();
    let host = "pypi.org".parse().unwrap();
    let error = resources::with_hosts(&snapshot, [], [&host]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`intercepted_tls` refers to cluster `dynamic_forward_proxy_cluster_https/pypi.org`, which is not in the \
         snapshot"
    );
}

#[test]
fn a_routed_host_is_led_to_its_cluster_and_its_upgrades_to_the_one_that_speaks_http_1_1() {
    let snapshot = resources::build(&gateway(), delta("1.39.3")).unwrap();
    let host = "pypi.org".parse().unwrap();
    let cluster = Arc::new(resources::host_cluster(&gateway(), &host));
    let snapshot = resources::with_hosts(&snapshot, [cluster], [&host]).unwrap();
    let table = json(snapshot.get(ResourceType::Route, "intercepted_tls").unwrap());
    insta::with_settings!({ sort_maps => true }, { insta::assert_yaml_snapshot!(table) });
}

/// The clusters must verify the authority, because the filter names an upstream only for a rule with its own
/// `upstream`.
#[test]
fn every_cluster_over_tls_sends_and_verifies_the_authority() {
    let policy =
        format!("{POLICY}  - {{id: own, effect: allow, hosts: [own.example], upstream: {{port: 8443}}}}\n");
    let gateway = gateway_of(&policy);
    let host = "pypi.org".parse().unwrap();
    for version in ["1.36.4", "1.39.3", "1.40.0"] {
        let snapshot = resources::build(&gateway, delta(version)).unwrap();
        let of_host = Arc::new(resources::host_cluster(&gateway, &host));
        let snapshot = resources::with_hosts(&snapshot, [of_host], [&host]).unwrap();
        let clusters = snapshot.all(ResourceType::Cluster).map(|cluster| json(cluster));
        let over_tls: Vec<_> = clusters
            .filter(|cluster| cluster["transportSocket"]["name"] == "envoy.transport_sockets.tls")
            .collect();
        assert_eq!(over_tls.len(), 5, "{over_tls:#?}");
        for cluster in over_tls {
            let options = &cluster["typedExtensionProtocolOptions"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
            let names = &options["upstreamHttpProtocolOptions"];
            assert_eq!(
                (&names["autoSni"], &names["autoSanValidation"]),
                (&true.into(), &true.into()),
                "{cluster:#}"
            );
        }
    }
}
