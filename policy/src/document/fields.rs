//! Typed access to nodes. Each reader returns the value or reports a fault.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::node::{Node, Spanned, Value};
use super::scalar;
use super::suggestion::suggestion;
use crate::fault::{At, Collector};

/// The known keys of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) keys: &'static [&'static str],
}

/// A mapping whose keys are all known.
#[derive(Debug)]
pub(crate) struct Fields<'n, 's> {
    entries: Vec<(&'n str, &'n Node<'s>)>,
}

impl<'n, 's> Fields<'n, 's> {
    /// Reads a mapping. Unknown keys are reported and left out.
    pub(crate) fn read(
        node: &'n Node<'s>,
        at: &At<'_>,
        known: &Known,
        faults: &mut Collector,
    ) -> Option<Fields<'n, 's>> {
        let Value::Map(entries) = &node.value else {
            mismatch(node, at, "a mapping", faults);
            return None;
        };
        let mut fields = Fields { entries: Vec::with_capacity(entries.len()) };
        for (key, value) in entries {
            let Value::Scalar { text, .. } = &key.value else { continue };
            if known.keys.contains(&text.as_ref()) {
                fields.entries.push((text, value));
                continue;
            }
            let message = format!("the key `{text}` is unknown here");
            let help = if let Some(near) = suggestion(text, known.keys) {
                format!("did you mean `{near}`")
            } else {
                format!("known keys: {}", quoted(known.keys))
            };
            faults.report(key.span.clone(), &At::Key(at, text), message, Some(help));
        }
        Some(fields)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'n Node<'s>> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// Returns the value of a required key.
    pub(crate) fn require(
        &self,
        key: &str,
        node: &Node<'_>,
        at: &At<'_>,
        faults: &mut Collector,
    ) -> Option<&'n Node<'s>> {
        let found = self.get(key);
        if found.is_none() {
            faults.report(node.span.clone(), at, format!("the key `{key}` is missing"), None);
        }
        found
    }
}

/// Reports that the node has another type than the wanted one.
pub(crate) fn mismatch(node: &Node<'_>, at: &At<'_>, wanted: &str, faults: &mut Collector) {
    if matches!(node.value, Value::Broken) {
        return;
    }
    let help = match &node.value {
        Value::Scalar { text, plain: true } if wanted == "text" && scalar::kind(text, true) != "nothing" => {
            Some(format!("write it in quotes if it is meant as text: '{text}'"))
        }
        Value::Scalar { .. } if wanted == "a list" => {
            Some("write it as a list, also if it has one entry".to_owned())
        }
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) | Value::Broken => None,
    };
    faults.report(node.span.clone(), at, format!("this must be {wanted}, and it is {}", node.kind()), help);
}

/// Returns the items of a list.
pub(crate) fn list<'n, 's>(
    node: &'n Node<'s>,
    at: &At<'_>,
    faults: &mut Collector,
) -> Option<&'n [Node<'s>]> {
    if let Value::List(items) = &node.value {
        return Some(items);
    }
    mismatch(node, at, "a list", faults);
    None
}

/// Returns the items of a list that must not be empty.
pub(crate) fn filled_list<'n, 's>(
    node: &'n Node<'s>,
    at: &At<'_>,
    faults: &mut Collector,
) -> Option<&'n [Node<'s>]> {
    let items = list(node, at, faults)?;
    if items.is_empty() {
        let help = "an empty list could mean none or any: remove the key to mean any";
        faults.report(node.span.clone(), at, "the list is empty", Some(help.to_owned()));
        return None;
    }
    Some(items)
}

/// Reads a list of distinct values with a reader for one value.
pub(crate) fn set<'s, T: Ord>(
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

/// Reads a text: quoted, or a plain scalar that every YAML reader takes for text.
pub(crate) fn text<'s>(
    node: &Node<'s>,
    at: &At<'_>,
    faults: &mut Collector,
) -> Option<Spanned<Cow<'s, str>>> {
    match &node.value {
        Value::Scalar { text, plain } if scalar::is_text(text, *plain) => {
            Some(Spanned { value: text.clone(), span: node.span.clone() })
        }
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) | Value::Broken => {
            mismatch(node, at, "text", faults);
            None
        }
    }
}

/// Reads one of a fixed set of words.
pub(crate) fn choice<T: Copy>(
    node: &Node<'_>,
    at: &At<'_>,
    words: &[(&str, T)],
    faults: &mut Collector,
) -> Option<T> {
    let written = text(node, at, faults)?;
    let found = words.iter().find(|(word, _)| *word == written.value).map(|(_, value)| *value);
    if found.is_none() {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = Some(format!("write one of {}", quoted(&words)));
        faults.report(written.span, at, format!("`{}` is not known here", written.value), help);
    }
    found
}

/// Reads `true` or `false`. Other words that some YAML readers take for a truth value are faults.
pub(crate) fn choice_of_truth(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<bool> {
    match &node.value {
        Value::Scalar { text, plain: true } if text == "true" => Some(true),
        Value::Scalar { text, plain: true } if text == "false" => Some(false),
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) | Value::Broken => {
            mismatch(node, at, "`true` or `false`", faults);
            None
        }
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
