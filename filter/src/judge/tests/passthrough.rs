//! Tests of TLS connections that are passed through.

use super::*;

fn passing() -> Judge {
    let document = "rules: [{id: pinned, effect: allow, hosts: [pinned.example], tls: passthrough, ports: [443, 8443],
            addresses: [10.0.0.0/8]}, {id: moved, effect: allow, hosts: [moved.example], tls: passthrough, upstream: {host:
            there.example, port: 444}}, {id: opened, effect: allow, hosts: [a.example]}]";
    judge_of(plugin_configuration(document, false))
}

#[test]
fn a_connection_that_is_not_opened_goes_to_the_name_that_was_judged() {
    for (server_name, authority, onward) in [
        ("pinned.example", "Pinned.example.:443", "pinned.example:443"),
        ("pinned.example", "pinned.example:8443", "pinned.example:8443"),
        ("moved.example", "moved.example:443", "there.example:444"),
    ] {
        let host = InMemory::passthrough(server_name.as_bytes(), authority.as_bytes());
        allowed(&passing(), &host);
        assert_eq!(host.header(":authority").as_deref(), Some(onward.as_bytes()));
        assert_eq!(host.header("x-weir-server-name"), None);
        let record = host.record().unwrap();
        assert_eq!(record["scheme"], "https");
        // A rule's own upstream gets the client's server name.
        let moved = (server_name == "moved.example").then_some(server_name);
        assert_eq!(record.get("sni").and_then(|sni| sni.as_str()), moved);
    }
    let host = InMemory::passthrough(b"pinned.example", b"pinned.example:443");
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
            denied(&passing(), &InMemory::passthrough(server_name, authority)).1,
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
