//! The key `upstream` of a rule.

use std::borrow::Cow;

use super::fields::{Fields, Known, choice, set, text};
use super::node::{Node, Value};
use super::{host, network};
use crate::fault::{At, Collector};
use crate::limits;
use crate::resolved_rule::ResolvedUpstream;
use crate::sessions::Sessions;

const KEYS: Known =
    Known { keys: &["host", "port", "sni", "names", "ca", "client_certificate", "client_key", "sessions"] };

/// The keys that configure TLS with the upstream.
const OF_TLS: [&str; 6] = ["sni", "names", "ca", "client_certificate", "client_key", "sessions"];

/// Reads an upstream. `no_tls` holds the reason if its TLS keys are not allowed here.
pub(super) fn read<'s>(
    node: &Node<'s>,
    at: &At<'_>,
    no_tls: Option<&str>,
    faults: &mut Collector,
) -> Option<ResolvedUpstream<'s>> {
    let fields = Fields::read(node, at, &KEYS, faults)?;
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        let help = "name a `host`, or remove the key".to_owned();
        faults.report(node.span.clone(), at, "the upstream is empty", Some(help));
    }
    for (key, node) in OF_TLS.into_iter().filter_map(|key| Some((key, fields.get(key)?))) {
        if let Some(why) = no_tls {
            let help = format!("remove it: {why}");
            let message = format!("this upstream has no `{key}`");
            faults.report(node.span.clone(), &At::Key(at, key), message, Some(help));
        }
    }
    for (one, other) in [("client_certificate", "client_key"), ("client_key", "client_certificate")] {
        if let (Some(node), None) = (fields.get(one), fields.get(other)) {
            let help = format!("a client certificate needs its key: add `{other}`");
            let message = format!("`{one}` without `{other}`");
            faults.report(node.span.clone(), &At::Key(at, one), message, Some(help));
        }
    }
    let read = |key: &'static str| fields.get(key).map(|node| (node, At::Key(at, key)));
    let mut read_file = |key| read(key).and_then(|(node, at)| file(node, &at, faults));
    let (ca, client_certificate, client_key) =
        (read_file("ca"), read_file("client_certificate"), read_file("client_key"));
    let names = read("names").map(|(node, at)| {
        let names = set(node, &at, faults, host::name_of_upstream);
        if names.len() > limits::UPSTREAM_NAMES {
            let message = format!("the upstream has more than {} names", limits::UPSTREAM_NAMES);
            faults.report(node.span.clone(), &at, message, None);
        }
        names
    });
    let sessions = Sessions::ALL.map(|sessions| (sessions.as_str(), sessions));
    Some(ResolvedUpstream {
        host: read("host").and_then(|(node, at)| host::of_upstream(node, &at, faults)),
        port: read("port").and_then(|(node, at)| network::port(node, &at, faults)),
        sni: read("sni").and_then(|(node, at)| host::name_of_upstream(node, &at, faults)),
        names: names.unwrap_or_default(),
        ca,
        client_certificate,
        client_key,
        sessions: read("sessions")
            .and_then(|(node, at)| choice(node, &at, &sessions, faults))
            .unwrap_or_default(),
    })
}

/// Reads the path of a file. It is kept as written; the code that reads the file resolves relative paths.
fn file<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Option<Cow<'s, str>> {
    let written = text(node, at, faults)?;
    let bytes = 1..=limits::FILE_PATH_BYTES;
    if bytes.contains(&written.value.len()) && !written.value.chars().any(char::is_control) {
        return Some(written.value);
    }
    let help = format!("write 1 to {} bytes without control characters", limits::FILE_PATH_BYTES);
    faults.report(written.span, at, "this is not the path of a file", Some(help));
    None
}
