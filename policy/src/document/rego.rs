//! The key `rego`, which names a Rego policy whose decision must also be allow.

use std::borrow::Cow;

use super::fields::{Fields, Known, filled_list, text};
use super::node::{Node, Spanned, Value};
use crate::fault::{At, Collector};

const KEYS: Known = Known { keys: &["policy", "data", "query"] };

/// The files of a document's Rego policy. The document contains only their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegoFiles {
    /// The `.rego` files; at least one.
    pub policy: Vec<Spanned<String>>,
    /// JSON files. The union of their objects is `data`.
    pub data: Vec<Spanned<String>>,
    /// The rule to evaluate, as `data.…`.
    pub query: Option<Spanned<String>>,
}

impl RegoFiles {
    pub(super) fn read(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<RegoFiles> {
        let fields = Fields::read(node, at, &KEYS, faults)?;
        let policy = fields.require("policy", node, at, faults);
        let policy = policy.map(|node| one_or_more(node, &At::Key(at, "policy"), faults));
        let data = fields.get("data").map(|node| one_or_more(node, &At::Key(at, "data"), faults));
        let query = fields.get("query").and_then(|node| text(node, &At::Key(at, "query"), faults));
        if let Some(query) = &query
            && !query.value.starts_with("data.")
        {
            let help = format!("write the path of a rule: `data.{}`", query.value);
            let message = format!("`{}` is not below `data`", query.value);
            faults.report(query.span.clone(), &At::Key(at, "query"), message, Some(help));
        }
        Some(RegoFiles { policy: policy?, data: data.unwrap_or_default(), query: query.map(owned) })
    }
}

/// Reads one text or a list of texts.
fn one_or_more(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Vec<Spanned<String>> {
    if let Value::List(_) = &node.value {
        let items = filled_list(node, at, faults).unwrap_or_default().iter().enumerate();
        return items
            .filter_map(|(index, node)| text(node, &At::Index(at, index), faults))
            .map(owned)
            .collect();
    }
    text(node, at, faults).map(owned).into_iter().collect()
}

fn owned(text: Spanned<Cow<'_, str>>) -> Spanned<String> {
    Spanned { value: text.value.into_owned(), span: text.span }
}
