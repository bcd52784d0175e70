//! Tests of rules with an upstream or addresses of their own.

use super::*;

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
        let record = host.record().unwrap();
        assert_eq!(record["upstream"], format!("{}:{}", expected[0], expected[1]));
        assert_eq!(record["sni"], expected[2]);
    }
    let other = InMemory::tls(Some(b"a.example"));
    allowed(&judge(), &other);
    assert_eq!(other.filter_state("envoy.upstream.dynamic_host"), None);
    assert_eq!(other.header("x-weir-upstream"), None);
    assert_eq!(other.record().unwrap().get("sni"), None, "Envoy takes it from the host");
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
        let host =
            host.with_header(":authority", b"elsewhere.example").also_header("x-weir-upstream", b"forged");
        allowed(&judge(), &host);
        let cluster = format!("weir_upstream_{key:016x}_{kind}");
        assert_eq!(host.header("x-weir-upstream"), Some(cluster.into_bytes()));
    }
    let forged = InMemory::tls(Some(b"a.example")).also_header("x-weir-upstream", b"forged");
    allowed(&judge(), &forged);
    assert_eq!(forged.header("x-weir-upstream"), None);
}

#[test]
fn an_address_is_verified_as_it_is_written_in_certificates() {
    let document = "rules: [{id: a, effect: allow, hosts: ['[2001:db8::1]'], upstream: {ca: own.pem}}]";
    let judge = judge_of(plugin_configuration(document, false));
    let host = InMemory::tls(Some(b"[2001:db8::1]")).with_header(":authority", b"[2001:db8::1]");
    allowed(&judge, &host);
    let names = host.filter_state("envoy.network.upstream_subject_alt_names");
    assert_eq!(names.as_deref(), Some("2001:db8::1"));
}
