//! A document as a tree of nodes with their places, before the meaning of any key is known.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::fault::{At, Collector};

/// A node and its place, in bytes of the source.
#[derive(Clone, Debug)]
pub(crate) struct Node<'s> {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value<'s>,
    /// A YAML feature around the value that policies do not allow.
    pub(crate) extra: Option<Extra>,
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
pub(crate) enum Value<'s> {
    /// A scalar. `plain` means without quotes.
    Scalar { text: Cow<'s, str>, plain: bool },
    /// A sequence.
    List(Vec<Node<'s>>),
    /// A mapping, in the order written.
    Map(Vec<(Node<'s>, Node<'s>)>),
    /// A node whose fault was already reported. Readers report nothing more.
    Broken,
}

/// YAML features that could make a policy mean something else than it seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// An anchor, `&name`.
    Anchor,
    /// An alias, `*name`.
    Alias,
    /// A tag, `!name`.
    Tag,
}

/// A value of a document with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// The place, in bytes of the document.
    pub span: Range<usize>,
}

impl Node<'_> {
    /// Reports YAML features that policies do not allow, in the node and below it: anchors, aliases, tags, and keys
    /// that are not text or occur twice.
    pub(crate) fn inspect(&self, at: &At<'_>, faults: &mut Collector) {
        if let Some(extra) = self.extra {
            let (message, help) = match extra {
                Extra::Anchor => ("anchors are not allowed in a policy", "write the value where it is meant"),
                Extra::Alias => (
                    "aliases are not allowed in a policy",
                    "write the value out, or put it in quotes if it is meant to start with `*`",
                ),
                Extra::Tag => ("tags are not allowed in a policy", "write the value without its tag"),
            };
            faults.report(self.span.clone(), at, message, Some(help.to_owned()));
        }
        match &self.value {
            Value::Scalar { .. } | Value::Broken => {}
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.inspect(&At::Index(at, index), faults);
                }
            }
            Value::Map(entries) => inspect_entries(entries, at, faults),
        }
    }

    /// Describes the kind of the node, for a fault's message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { text, plain } => super::scalar::kind(text, *plain),
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Broken => "nothing",
        }
    }
}

fn inspect_entries(entries: &[(Node<'_>, Node<'_>)], at: &At<'_>, faults: &mut Collector) {
    let mut seen: HashMap<&str, ()> = HashMap::with_capacity(entries.len());
    for (key, value) in entries {
        let Value::Scalar { text, .. } = &key.value else {
            if !matches!(key.value, Value::Broken) {
                let message = format!("a key is text, and this is {}", key.kind());
                faults.report(key.span.clone(), at, message, None);
            }
            key.inspect(at, faults);
            continue;
        };
        let at = At::Key(at, text);
        key.inspect(&at, faults);
        if seen.insert(text, ()).is_some() {
            let help = "keep one of them: which one counts would depend on the reader".to_owned();
            faults.report(key.span.clone(), &at, format!("the key `{text}` comes twice"), Some(help));
        }
        value.inspect(&at, faults);
    }
}
