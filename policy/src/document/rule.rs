//! An entry of `rules`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ipnet::IpNet;

use super::fields::{Fields, Known, choice, choice_of_truth, filled_list, set, text};
use super::host::{self, Kinds};
use super::node::{Node, Spanned, Value};
use super::{DATA_KEYS, REGO_RULE, network, path, upstream};
use crate::effect::Effect;
use crate::fault::{At, Collector};
use crate::limits;
use crate::method::Method;
use crate::mode::Mode;
use crate::path::pattern::{Case, PatternKind};
use crate::resolved_rule::{ResolvedHost, ResolvedUpstream};
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::is_id_byte;

/// A rule as written, with every value canonical. Omitted values are `None`; defaults come later.
#[derive(Debug)]
pub(crate) struct RuleDocument<'s> {
    /// The position in `rules`.
    pub(crate) index: usize,
    pub(crate) id: Option<Spanned<Cow<'s, str>>>,
    pub(crate) effect: Option<Effect>,
    pub(crate) mode: Option<Mode>,
    pub(crate) hosts: Option<Vec<ResolvedHost<'s>>>,
    pub(crate) ports: Option<BTreeSet<u16>>,
    pub(crate) schemes: Option<BTreeSet<Scheme>>,
    pub(crate) methods: Option<BTreeSet<Cow<'s, str>>>,
    pub(crate) paths: Option<BTreeSet<(String, PatternKind)>>,
    pub(crate) addresses: Option<BTreeSet<IpNet>>,
    pub(crate) tls: Option<Tls>,
    pub(crate) upstream: Option<ResolvedUpstream<'s>>,
}

const KEYS: Known = Known {
    keys: &[
        "id",
        "effect",
        "hosts",
        "ports",
        "schemes",
        "methods",
        "paths",
        "paths_ignore_case",
        "mode",
        "addresses",
        "tls",
        "upstream",
    ],
};

/// The keys that only an allow rule may have, with the reasons.
const OF_ALLOW: [(&str, &str); 3] = [
    ("addresses", "only an allow rule lets its hosts resolve to non-public addresses"),
    ("tls", "a deny rule applies to intercepted and passed-through connections alike"),
    ("upstream", "a denied request is not forwarded"),
];

impl<'s> RuleDocument<'s> {
    /// Reads a rule. `has_default_addresses` says that the document has `addresses`, which an empty list of a rule replaces.
    pub(super) fn read(
        node: &Node<'s>,
        at: &At<'_>,
        has_default_addresses: bool,
        faults: &mut Collector,
    ) -> Option<RuleDocument<'s>> {
        let fields = Fields::read(node, at, &KEYS, faults)?;
        let id = fields.require("id", node, at, faults);
        let effect = fields.require("effect", node, at, faults);
        let effect = effect.and_then(|node| {
            choice(node, &At::Key(at, "effect"), &[("allow", Effect::Allow), ("deny", Effect::Deny)], faults)
        });
        if effect == Some(Effect::Allow) && fields.get("hosts").is_none() {
            let help =
                "only a deny rule may cover every host: list the hosts that this rule allows".to_owned();
            faults.report(node.span.clone(), at, "an allow rule needs `hosts`", Some(help));
        }
        if effect == Some(Effect::Deny) {
            for (key, help) in OF_ALLOW {
                let Some(node) = fields.get(key) else { continue };
                let message = format!("a deny rule has no `{key}`");
                faults.report(node.span.clone(), &At::Key(at, key), message, Some(help.to_owned()));
            }
        }
        let mode = fields.get("mode").and_then(|node| super::mode(node, &At::Key(at, "mode"), faults));
        if effect == Some(Effect::Deny)
            && mode == Some(Mode::Open)
            && let Some(node) = fields.get("mode")
        {
            let help = "remove the rule, or write `report` to log the requests that it would deny".to_owned();
            let at = At::Key(at, "mode");
            faults.report(node.span.clone(), &at, "a deny rule that is open denies nothing", Some(help));
        }
        let read = |key: &'static str| fields.get(key).map(|node| (node, At::Key(at, key)));
        let words = Tls::ALL.map(|tls| (tls.as_str(), tls));
        let tls = read("tls").and_then(|(node, at)| choice(node, &at, &words, faults));
        let schemes = read("schemes").map(|(node, at)| set(node, &at, faults, scheme));
        if tls == Some(Tls::Passthrough) {
            refuse_unseen(&fields, schemes.as_ref(), at, faults);
        }
        let case = case(&fields, effect, at, faults);
        let no_tls = match (tls, &schemes) {
            (Some(Tls::Passthrough), _) => Some("the client makes its own TLS connection to the upstream"),
            (_, Some(schemes)) if !schemes.contains(&Scheme::Https) => {
                Some("this rule covers only plain http")
            }
            (_, _) => None,
        };
        Some(RuleDocument {
            index: match at {
                At::Index(_, index) => *index,
                At::Root | At::Key(..) => 0,
            },
            id: id.and_then(|node| rule_id(node, &At::Key(at, "id"), faults)),
            effect,
            mode,
            hosts: read("hosts").map(|(node, at)| {
                filled_list(node, &at, faults).map_or_else(Vec::new, |_| {
                    let hosts = host::hosts(node, &at, Kinds::ExactAndBelow, faults);
                    if effect == Some(Effect::Allow) {
                        host::warn_of_public_suffixes(&hosts, &at, faults);
                    }
                    hosts.into_iter().map(|host| host.value).collect()
                })
            }),
            ports: read("ports")
                .map(|(node, at)| set(node, &at, faults, |node, at, faults| network::port(node, at, faults))),
            schemes,
            methods: read("methods").map(|(node, at)| set(node, &at, faults, method)),
            paths: read("paths").map(|(node, at)| paths(node, &at, case, faults)),
            addresses: read("addresses").map(|(node, at)| match &node.value {
                Value::List(items) if items.is_empty() && has_default_addresses => BTreeSet::new(),
                Value::List(_) | Value::Map(_) | Value::Scalar { .. } | Value::Broken => {
                    set(node, &at, faults, network::net)
                }
            }),
            tls,
            upstream: read("upstream").and_then(|(node, at)| upstream::read(node, &at, no_tls, faults)),
        })
    }
}

/// Refuses conditions on requests in a passthrough rule, which cannot see requests.
fn refuse_unseen(
    fields: &Fields<'_, '_>,
    schemes: Option<&BTreeSet<Scheme>>,
    at: &At<'_>,
    faults: &mut Collector,
) {
    for key in ["methods", "paths"] {
        let Some(node) = fields.get(key) else { continue };
        let help = format!("remove `{key}` or `tls`: requests are visible only in an intercepted connection");
        let message = format!("a rule that passes TLS through has no `{key}`");
        faults.report(node.span.clone(), &At::Key(at, key), message, Some(help));
    }
    if let Some(node) = fields.get("schemes")
        && schemes.is_some_and(|schemes| schemes.contains(&Scheme::Http))
    {
        let help = "remove it, and write another rule for plain http to these hosts".to_owned();
        let message = "a rule that passes TLS through covers only https";
        faults.report(node.span.clone(), &At::Key(at, "schemes"), message, Some(help));
    }
    if let Some(hosts) = fields.get("hosts")
        && let Value::List(items) = &hosts.value
    {
        let at = At::Key(at, "hosts");
        for (index, item) in items.iter().enumerate() {
            if let Value::Scalar { text, .. } = &item.value
                && host::is_address(text)
            {
                let help = "remove it: the server name of a connection is never an address".to_owned();
                let message = format!("a rule that passes TLS through has no address, as `{text}` is one");
                faults.report(item.span.clone(), &At::Index(&at, index), message, Some(help));
            }
        }
    }
}

fn rule_id<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Option<Spanned<Cow<'s, str>>> {
    let id = text(node, at, faults)?;
    let (message, help) = if id.value == REGO_RULE
        || DATA_KEYS.contains(&id.value.split('/').next().unwrap_or_default())
    {
        (format!("`{}` is reserved for the rules of data keys", id.value), "choose another id".to_owned())
    } else if id.value.is_empty()
        || id.value.len() > limits::RULE_ID_BYTES
        || !id.value.bytes().all(is_id_byte)
    {
        let help = format!("use 1 to {} ASCII letters, digits, `-`, `_`, `.` or `/`", limits::RULE_ID_BYTES);
        (format!("`{}` is not an id", id.value), help)
    } else {
        return Some(id);
    };
    faults.report(id.span, at, message, Some(help));
    None
}

fn scheme(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<Scheme> {
    choice(node, at, &[("https", Scheme::Https), ("http", Scheme::Http)], faults)
}

fn method<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Option<Cow<'s, str>> {
    let written = text(node, at, faults)?;
    let upper = written.value.to_ascii_uppercase();
    let (message, help) = if let Err(error) = Method::parse(written.value.as_bytes()) {
        (format!("`{}` is not a method: {error}", written.value), None)
    } else if upper != *written.value && Method::STANDARD.contains(&upper.as_str()) {
        let message = format!("`{}` is not in canonical form, which is `{upper}`", written.value);
        (message, Some(format!("write `{upper}`: methods are case-sensitive")))
    } else if written.value == "CONNECT" {
        let help = "remove it: a client gets a tunnel if a rule allows requests through it".to_owned();
        ("`CONNECT` is not a method of a rule".to_owned(), Some(help))
    } else {
        return Some(written.value);
    };
    faults.report(written.span, at, message, help);
    None
}

/// Reads `paths_ignore_case`, which says which letters in a rule's paths are equal. A deny rule treats letters as
/// equal if any server might. An allow rule treats letters as equal only if every case-insensitive server does.
fn case(fields: &Fields<'_, '_>, effect: Option<Effect>, at: &At<'_>, faults: &mut Collector) -> Case {
    const KEY: &str = "paths_ignore_case";
    let Some(node) = fields.get(KEY) else { return Case::Exact };
    let at = At::Key(at, KEY);
    let ignore = choice_of_truth(node, &at, faults).unwrap_or_default();
    if fields.get("paths").is_none() {
        let help = "remove it, or list `paths`".to_owned();
        faults.report(node.span.clone(), &at, "`paths_ignore_case` needs `paths`", Some(help));
    }
    match (ignore, effect) {
        (false, _) => Case::Exact,
        (true, Some(Effect::Deny)) => Case::Every,
        (true, Some(Effect::Allow) | None) => Case::Ascii,
    }
}

fn paths(
    node: &Node<'_>,
    at: &At<'_>,
    case: Case,
    faults: &mut Collector,
) -> BTreeSet<(String, PatternKind)> {
    let paths = set(node, at, faults, |node, at, faults| {
        let written = text(node, at, faults)?;
        path::pattern(&written, at, faults).map(|(text, kind)| (text, PatternKind { case, ..kind }))
    });
    if paths.len() > limits::RULE_PATHS {
        let message = format!("the rule has more than {} paths", limits::RULE_PATHS);
        faults.report(node.span.clone(), at, message, Some("split it into several rules".to_owned()));
    }
    paths
}
