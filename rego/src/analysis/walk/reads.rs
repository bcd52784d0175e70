//! Finds the parts of the input and the data that a policy reads.

use regorus::unstable::{Expr, Ref, Span};

use super::Walk;
use crate::analysis::names::Step;
use crate::analysis::syntax::known;
use crate::parts::Part;

impl Walk<'_, '_> {
    pub(super) fn reference(&mut self, expr: &Ref<Expr>) {
        let Some((root, steps)) = self.names.resolve(self.module, &self.locals, expr) else { return };
        match root.as_str() {
            "input" => self.input(expr.span(), &steps),
            "data" => self.data(expr.span(), &steps),
            _ => {}
        }
    }

    fn data(&mut self, span: &Span, steps: &[Step]) {
        let path = known(steps);
        let rule = (1..=path.len()).find_map(|end| path.get(..end).filter(|path| self.is_rule(path)));
        if let Some(rule) = rule {
            if let Some(alias) = self.names.aliases.get(rule) {
                let below = steps.get(rule.len()..).unwrap_or_default();
                let path: Vec<Step> = alias.iter().chain(below).cloned().collect();
                self.input(span, &path);
            }
            self.found.calls.entry(self.rule.clone()).or_default().insert(rule.to_vec());
        } else if self.touches_rules(&path) {
            self.fault(
                span,
                format!("`{}` may be any rule of a package", span.text()),
                "name the rule: what is called must be known before a request comes",
            );
        } else {
            self.found.otherwise.insert(path);
        }
    }

    pub(super) fn is_rule(&self, path: &[String]) -> bool {
        self.names.rules.contains_key(path)
    }

    fn input(&mut self, span: &Span, steps: &[Step]) {
        let path = known(steps);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut any = false;
        for part in Part::ALL {
            let keys = part.keys();
            if keys.iter().zip(&path).all(|(a, b)| a == b) {
                any = true;
                self.analysis.parts.add(part);
                if part == Part::Headers {
                    self.header(span, path.get(keys.len()));
                }
            }
        }
        if !any {
            let help = "a policy may read `input.attributes.request.http` (`method`, `path`, `host`, `scheme`, `headers`), `input.attributes.destination.principal`, `input.parsed_path` and `input.parsed_query`";
            self.fault(span, format!("`input.{}` is never there", path.join(".")), help);
        }
    }

    fn header(&mut self, span: &Span, name: Option<&&str>) {
        if let Some(name) = name
            && !name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            })
        {
            let help = "names of headers are in lower case here, and what HTTP/2 writes as `:path` is `input.attributes.request.http.path`";
            self.fault(span, format!("there is never a header `{name}`"), help);
        }
        match (name, &mut self.analysis.headers) {
            (Some(name), Some(headers)) => {
                headers.insert((*name).to_owned());
            }
            (_, headers) => *headers = None,
        }
    }
}
