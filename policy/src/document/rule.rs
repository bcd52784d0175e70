//! One entry of `rules`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ipnet::IpNet;

use super::fields::{Fields, Known, choice, filled_list, text};
use super::host::{self, Kinds};
use super::node::{Node, Spanned};
use super::{network, path};
use crate::decision::Effect;
use crate::fault::{At, Collector};
use crate::limits;
use crate::method::Method;
use crate::mode::Mode;
use crate::path::pattern::PatternKind;
use crate::scheme::Scheme;
use crate::wire::is_id_byte;
use crate::wire::writer::DraftHost;

/// A rule as written, with every value canonical. What was left out is none, and has no default yet.
#[derive(Debug)]
pub(crate) struct RuleDocument<'s> {
    /// Position in `rules`.
    pub(crate) index: usize,
    pub(crate) id: Option<Spanned<Cow<'s, str>>>,
    pub(crate) effect: Option<Effect>,
    pub(crate) mode: Option<Mode>,
    pub(crate) hosts: Option<Vec<DraftHost<'s>>>,
    pub(crate) ports: Option<BTreeSet<u16>>,
    pub(crate) schemes: Option<BTreeSet<Scheme>>,
    pub(crate) methods: Option<BTreeSet<Cow<'s, str>>>,
    pub(crate) paths: Option<BTreeSet<(String, PatternKind)>>,
    pub(crate) addresses: Option<BTreeSet<IpNet>>,
}

const KEYS: Known = Known {
    keys: &["id", "effect", "hosts", "ports", "schemes", "methods", "paths", "mode", "addresses"],
    later: &["tls", "upstream"],
};

/// Ids that the data keys of the document take for their rules, also with more behind a slash.
const RESERVED: [&str; 7] = [
    "allowed_domains",
    "unrestricted_domains",
    "github_read_access_enabled",
    "github_allowed_repos",
    "github_allowed_users",
    "aws_access_enabled",
    "aws_allowed_services",
];

impl<'s> RuleDocument<'s> {
    pub(super) fn read(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Option<RuleDocument<'s>> {
        let fields = Fields::read(node, at, &KEYS, faults)?;
        let id = fields.require("id", node, at, faults);
        let effect = fields.require("effect", node, at, faults);
        let effect = effect.and_then(|node| {
            choice(node, &At::Key(at, "effect"), &[("allow", Effect::Allow), ("deny", Effect::Deny)], faults)
        });
        if effect == Some(Effect::Allow) && fields.get("hosts").is_none() {
            let help =
                "only a deny rule can be about every host: list the hosts that this one allows".to_owned();
            faults.report(node.span.clone(), at, "an allow rule needs `hosts`", Some(help));
        }
        if effect == Some(Effect::Deny)
            && let Some(node) = fields.get("addresses")
        {
            let help = "`addresses` widens what an allow rule's names may resolve to".to_owned();
            let at = At::Key(at, "addresses");
            faults.report(node.span.clone(), &at, "a deny rule has no `addresses`", Some(help));
        }
        let mode = fields.get("mode").and_then(|node| super::mode(node, &At::Key(at, "mode"), faults));
        if effect == Some(Effect::Deny)
            && mode == Some(Mode::Open)
            && let Some(node) = fields.get("mode")
        {
            let help = "leave the rule out, or write `report` to see what it would deny".to_owned();
            let at = At::Key(at, "mode");
            faults.report(node.span.clone(), &at, "a deny rule that is open denies nothing", Some(help));
        }
        let read = |key: &'static str| fields.get(key).map(|node| (node, At::Key(at, key)));
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
                    host::hosts(node, &at, Kinds::ExactAndBelow, faults)
                        .into_iter()
                        .map(|host| host.value)
                        .collect()
                })
            }),
            ports: read("ports")
                .map(|(node, at)| set(node, &at, faults, |node, at, faults| network::port(node, at, faults))),
            schemes: read("schemes").map(|(node, at)| set(node, &at, faults, scheme)),
            methods: read("methods").map(|(node, at)| set(node, &at, faults, method)),
            paths: read("paths").map(|(node, at)| paths(node, &at, faults)),
            addresses: read("addresses").map(|(node, at)| set(node, &at, faults, network::net)),
        })
    }
}

/// A list without duplicates, of values that one reader reads.
fn set<'s, T: Ord>(
    node: &Node<'s>,
    at: &At<'_>,
    faults: &mut Collector,
    read: impl Fn(&Node<'s>, &At<'_>, &mut Collector) -> Option<T>,
) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    for (index, item) in filled_list(node, at, faults).unwrap_or_default().iter().enumerate() {
        let at = At::Index(at, index);
        if let Some(value) = read(item, &at, faults)
            && !set.insert(value)
        {
            faults.report(
                item.span.clone(),
                &at,
                "this is already listed",
                Some("remove one of them".to_owned()),
            );
        }
    }
    set
}

fn rule_id<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Option<Spanned<Cow<'s, str>>> {
    let id = text(node, at, faults)?;
    let (message, help) = if RESERVED.contains(&id.value.split('/').next().unwrap_or_default()) {
        (
            format!("`{}` is an id of the rules that data keys become", id.value),
            "choose another id".to_owned(),
        )
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
        let help = "leave it out: a tunnel is opened for whatever its requests may reach".to_owned();
        ("`CONNECT` is never a request of a rule".to_owned(), Some(help))
    } else {
        return Some(written.value);
    };
    faults.report(written.span, at, message, help);
    None
}

fn paths(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> BTreeSet<(String, PatternKind)> {
    let paths = set(node, at, faults, |node, at, faults| {
        let written = text(node, at, faults)?;
        path::pattern(&written, at, faults)
    });
    if paths.len() > limits::RULE_PATHS {
        let message = format!("the rule has more than {} paths", limits::RULE_PATHS);
        faults.report(node.span.clone(), at, message, Some("split it into several rules".to_owned()));
    }
    paths
}
