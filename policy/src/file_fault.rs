//! Faults of files that a document names. The code that reads the files reports them, and this module adds their
//! places in the document.

use crate::document::node::{Node, Value};
use crate::document::yaml;
use crate::fault::{At, Collector, Faults};

/// A fault of a file that an `upstream` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The key of the `upstream` that names the file.
    pub key: &'static str,
    /// The file, as the document names it.
    pub file: String,
    /// The message: lower case, no full stop, the user's input in backticks.
    pub message: String,
    /// Advice to the operator.
    pub help: String,
}

/// Returns each fault at every place that names its file, or `None` if no place does.
#[must_use]
pub fn file_faults(source: &str, faults: &[FileFault]) -> Option<Faults> {
    let mut found = Collector::default();
    let root = yaml::read(source, &mut found)?;
    let rules = At::Key(&At::Root, "rules");
    if let Some(Node { value: Value::List(items), .. }) = entry(&root, "rules") {
        for (index, upstream) in
            items.iter().enumerate().filter_map(|(index, rule)| Some((index, entry(rule, "upstream")?)))
        {
            let rule = At::Index(&rules, index);
            let at = At::Key(&rule, "upstream");
            for FileFault { key, file, message, help } in faults {
                let Some(node) = entry(upstream, key) else { continue };
                if matches!(&node.value, Value::Scalar { text, .. } if text == file) {
                    found.report(node.span.clone(), &At::Key(&at, key), message.as_str(), Some(help.clone()));
                }
            }
        }
    }
    found.finish(source, ()).err()
}

fn entry<'n, 's>(node: &'n Node<'s>, key: &str) -> Option<&'n Node<'s>> {
    let Value::Map(entries) = &node.value else { return None };
    let named = |name: &Node<'_>| matches!(&name.value, Value::Scalar { text, .. } if text == key);
    entries.iter().find(|(name, _)| named(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stands_at_every_place_that_names_the_file() {
        let source = "rules:
- {id: a, effect: allow, hosts: [a.example], upstream: {ca: x.pem, port: 1}}
- {id: b, effect: allow, hosts: [b.example]}
- id: c
  effect: allow
  hosts: [c.example]
  upstream: {client_certificate: x.pem, client_key: 'x.pem', ca: x.pem}
";
        let fault =
            |key| FileFault { key, file: "x.pem".into(), message: "bad".into(), help: "mend it".into() };
        let places = |faults: &[FileFault]| -> Vec<String> {
            let faults = file_faults(source, faults).map(|faults| faults.list).unwrap_or_default();
            faults.into_iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.at)).collect()
        };
        assert_eq!(places(&[fault("ca")]), ["2:61 rules[0].upstream.ca", "7:66 rules[2].upstream.ca"]);
        assert_eq!(places(&[fault("client_key")]), ["7:53 rules[2].upstream.client_key"]);
        assert_eq!(places(&[FileFault { file: "y.pem".into(), ..fault("ca") }]), [""; 0]);
    }
}
