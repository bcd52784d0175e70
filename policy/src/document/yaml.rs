//! Builds nodes from YAML events. The parser has byte offsets and limits on nesting, and no unsafe code.

use granit_parser::{Event, Parser, ScalarStyle};

use super::node::{Extra, Node, Value};
use crate::fault::{At, Collector};
use crate::limits;

/// Parses one document. A text that is not one document is reported, and the result is `None`.
pub(crate) fn read<'s>(source: &'s str, faults: &mut Collector) -> Option<Node<'s>> {
    if source.len() > limits::DOCUMENT_BYTES {
        let message = format!("the document is larger than {} bytes", limits::DOCUMENT_BYTES);
        faults.report(0..0, &At::Root, message, None);
        return None;
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        // An unquoted `- *.example.com` is an alias. The fault for it should say more than that its anchor is
        // unknown.
        emit_unresolved_aliases: true,
        flow_nesting_limit: limits::DOCUMENT_DEPTH,
        block_nesting_limit: limits::DOCUMENT_DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(source, options) {
        match event {
            Ok((event, span)) => {
                let span = span.byte_range().unwrap_or(0..0);
                if matches!(event, Event::DocumentStart(..)) && builder.root.is_some() {
                    let help = Some("keep one document in a file".to_owned());
                    faults.report(span, &At::Root, "a second document starts here", help);
                    return None;
                }
                if !builder.take(event, span.clone()) {
                    faults.report(span, &At::Root, "this YAML feature is not supported", None);
                    return None;
                }
            }
            Err(error) => {
                let place = error.marker().byte_offset().unwrap_or(0).min(source.len());
                if let Some(tab) = tab_in_indentation(source, place) {
                    let help = Some("indent with spaces".to_owned());
                    faults.report(tab..tab, &At::Root, "YAML does not allow a tab in the indentation", help);
                    return None;
                }
                let help = "check the indentation, and look for a missing quote or bracket; put text with one of `*{}[]:#&!|>%@` in quotes";
                let message = format!("this is not YAML: {}", error.info());
                faults.report(place..place, &At::Root, message, Some(help.to_owned()));
                return None;
            }
        }
    }
    if builder.root.is_none() {
        let help = "write `rules: []` for a policy that allows nothing";
        faults.report(0..0, &At::Root, "the document is empty", Some(help.to_owned()));
    }
    builder.root
}

/// Returns the place of a tab in the indentation of the line of `place`, or of a line beside it.
fn tab_in_indentation(source: &str, place: usize) -> Option<usize> {
    let start_of_line = |place: usize| source.get(..place)?.rfind('\n').map(|end| end + 1).or(Some(0));
    let line = start_of_line(place)?;
    let before = line.checked_sub(1).and_then(start_of_line);
    let after = source.get(place..).and_then(|rest| rest.find('\n')).map(|end| place + end + 1);
    [Some(line), before, after].into_iter().flatten().find_map(|start| {
        let rest = source.get(start..)?;
        let indentation = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest.get(..indentation)?.find('\t').map(|tab| start + tab)
    })
}

#[derive(Default)]
struct Builder<'s> {
    /// Open lists and mappings. For a mapping, also the key whose value comes next.
    open: Vec<(Node<'s>, Option<Node<'s>>)>,
    root: Option<Node<'s>>,
}

impl<'s> Builder<'s> {
    /// Handles an event. Returns false for an unknown kind of event.
    fn take(&mut self, event: Event<'s>, span: core::ops::Range<usize>) -> bool {
        let extra = |anchor: usize, tagged: bool| match (anchor, tagged) {
            (0, false) => None,
            (0, true) => Some(Extra::Tag),
            (_, _) => Some(Extra::Anchor),
        };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = Value::Scalar { text, plain: style == ScalarStyle::Plain };
                self.place(Node { span, value, extra: extra(anchor, tag.is_some()) });
            }
            Event::SequenceStart(_, anchor, tag) => {
                let value = Value::List(Vec::new());
                self.open.push((Node { span, value, extra: extra(anchor, tag.is_some()) }, None));
            }
            Event::MappingStart(_, anchor, tag) => {
                let value = Value::Map(Vec::new());
                self.open.push((Node { span, value, extra: extra(anchor, tag.is_some()) }, None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((mut node, _)) = self.open.pop() {
                    // A block ends where its last node ends. The parser reports the start of the next token instead.
                    let last = match &node.value {
                        Value::List(items) => items.last().map(|item| item.span.end),
                        Value::Map(entries) => entries.last().map(|(_, value)| value.span.end),
                        Value::Scalar { .. } | Value::Broken => None,
                    };
                    node.span.end = last.unwrap_or(span.end).max(node.span.start);
                    self.place(node);
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.place(Node { span, value: Value::Broken, extra: Some(Extra::Alias) });
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            // These events repeat metadata that the nodes already carry.
            Event::Anchor(..) => {}
            // An unknown kind of event could be a node. Skipping it would change the meaning of the document.
            _ => return false,
        }
        true
    }

    fn place(&mut self, node: Node<'s>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Node { value: Value::List(items), .. }, _)) => items.push(node),
            Some((Node { value: Value::Map(entries), .. }, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Some((Node { value: Value::Scalar { .. } | Value::Broken, .. }, _)) => {}
        }
    }
}
