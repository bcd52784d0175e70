//! The policy document as written, parsed strictly.
//!
//! A document is first a tree of nodes with their places ([`node`], [`yaml`]). Then it becomes typed fields, each of
//! which is canonical or a fault ([`fields`], [`rule`] and one file for each kind of value). The parser skips nothing
//! and repairs nothing. It collects all faults, and a document with one fault makes no policy.

mod data_keys;
pub(crate) mod fields;
mod host;
mod nearest;
mod network;
pub(crate) mod node;
mod path;
mod rego;
mod rule;
pub(crate) mod scalar;
mod upstream;
pub(crate) mod yaml;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::fault::{At, Collector};
use crate::mode::Mode;
use crate::wire::writer::DraftHost;
use fields::{Fields, Known, choice, list};
use host::Kinds;
use node::{Node, Value};

pub(crate) use data_keys::{AwsKeys, GithubKeys};
pub use rego::{RegoFiles, Written};
pub(crate) use rule::RuleDocument;

/// The content of a document, with every value canonical.
#[derive(Debug, Default)]
pub(crate) struct PolicyDocument<'s> {
    /// The mode of rules that set none.
    pub(crate) mode: Mode,
    /// Hosts that allow GET and HEAD.
    pub(crate) allowed_domains: Vec<DraftHost<'s>>,
    /// Hosts that allow any method.
    pub(crate) unrestricted_domains: Vec<DraftHost<'s>>,
    /// Read and write access to GitHub.
    pub(crate) github: GithubKeys<'s>,
    /// Access to AWS services.
    pub(crate) aws: AwsKeys<'s>,
    /// The Rego policy whose decision must also be allow.
    pub(crate) rego: Option<RegoFiles>,
    /// The rules, in the document's order.
    pub(crate) rules: Vec<RuleDocument<'s>>,
}

/// The keys of the data document. A rule made from a key is named after it, sometimes with a suffix after a slash.
const DATA_KEYS: [&str; 7] = [
    "allowed_domains",
    "unrestricted_domains",
    "github_read_access_enabled",
    "github_allowed_repos",
    "github_allowed_users",
    "aws_access_enabled",
    "aws_allowed_services",
];

/// The id of the rule that leaves all decisions to a Rego policy.
pub(crate) const REGO_RULE: &str = "rego";

const KEYS: Known = {
    const KEYS: [&str; 10] = {
        let [a, b, c, d, e, f, g] = DATA_KEYS;
        [a, b, c, d, e, f, g, "mode", "rego", "rules"]
    };
    Known { keys: &KEYS }
};

impl<'s> PolicyDocument<'s> {
    pub(crate) fn read(root: &Node<'s>, faults: &mut Collector) -> PolicyDocument<'s> {
        let at = At::Root;
        let mut document = PolicyDocument::default();
        let Some(fields) = Fields::read(root, &at, &KEYS, faults) else { return document };
        if matches!(&root.value, Value::Map(entries) if entries.is_empty()) {
            let help = "write `rules: []` for a policy that allows nothing";
            faults.report(root.span.clone(), &at, "the document is empty", Some(help.to_owned()));
        }
        if let Some(node) = fields.get("allowed_domains") {
            document.allowed_domains = domains(node, &At::Key(&at, "allowed_domains"), faults);
        }
        if let Some(node) = fields.get("unrestricted_domains") {
            document.unrestricted_domains = domains(node, &At::Key(&at, "unrestricted_domains"), faults);
        }
        if let Some(node) = fields.get("mode") {
            document.mode = mode(node, &At::Key(&at, "mode"), faults).unwrap_or_default();
        }
        if let Some(node) = fields.get("rego") {
            document.rego = RegoFiles::read(node, &At::Key(&at, "rego"), faults);
        }
        document.github = GithubKeys::read(&fields, &at, faults);
        document.aws = AwsKeys::read(&fields, &at, faults);
        if let Some(node) = fields.get("rules") {
            let at = At::Key(&at, "rules");
            for (index, node) in list(node, &at, faults).unwrap_or_default().iter().enumerate() {
                document.rules.extend(RuleDocument::read(node, &At::Index(&at, index), faults));
            }
            refuse_duplicate_ids(&document.rules, &at, faults);
        }
        document
    }
}

fn mode(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<Mode> {
    choice(node, at, &Mode::ALL.map(|mode| (mode.as_str(), mode)), faults)
}

/// Reads the list of a data key: exact hosts. It may be empty, because that is the key's default.
fn domains<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Vec<DraftHost<'s>> {
    host::hosts(node, at, Kinds::Exact, faults).into_iter().map(|host| host.value).collect()
}

fn refuse_duplicate_ids(rules: &[RuleDocument<'_>], at: &At<'_>, faults: &mut Collector) {
    let mut seen: HashMap<&Cow<'_, str>, String> = HashMap::new();
    for rule in rules {
        let Some(id) = &rule.id else { continue };
        if let Some(first) = seen.get(&id.value) {
            let message = format!("the id `{}` is taken by `{first}`", id.value);
            let at = At::Index(at, rule.index);
            faults.report(
                id.span.clone(),
                &At::Key(&at, "id"),
                message,
                Some("give each rule its own id".to_owned()),
            );
        } else {
            seen.insert(&id.value, At::Index(at, rule.index).to_string());
        }
    }
}
