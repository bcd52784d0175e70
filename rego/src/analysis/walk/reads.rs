//! Finds the fields of the input and the values of the data that a policy reads.

use regorus::unstable::{Expr, Ref, Span};

use super::Walk;
use crate::analysis::names;
use crate::analysis::syntax::{Step, known};
use crate::input_fields::InputField;

impl Walk<'_, '_> {
    pub(super) fn reference(&mut self, expr: &Ref<Expr>) {
        let Some((root, steps)) = self.names.resolve(self.module, &self.locals, expr) else {
            return self.refuse_header_below_a_name(expr);
        };
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
                "name the rule: the called rule must be known before a request arrives",
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
        for field in InputField::ALL {
            let keys = field.keys();
            if keys.iter().zip(&path).all(|(a, b)| a == b) {
                any = true;
                self.analysis.fields.add(field);
                if field == InputField::Headers {
                    if path.len() == keys.len() {
                        self.refuse_headers(span);
                    }
                    self.header(span, path.get(keys.len()).copied());
                }
            }
        }
        if !any {
            let help = "a policy may read `input.attributes.request.http` (`method`, `path`, `host`, `scheme`, `headers`), `input.attributes.destination.principal`, `input.parsed_path` and `input.parsed_query`";
            self.fault(span, format!("`input.{}` is never there", path.join(".")), help);
        }
    }

    /// Reads `object.get(headers, "x-team", "")` as `headers["x-team"]`. The path may begin above the headers.
    pub(super) fn reads_a_header(&mut self, fcn: &Ref<Expr>, params: &[Ref<Expr>]) -> bool {
        let [object, key, default] = params else { return false };
        if fcn.span().text() != "object.get" {
            return false;
        }
        let Some((root, mut steps)) = self.names.resolve(self.module, &self.locals, object) else {
            return false;
        };
        let Some(keys) = constant_keys(key) else { return false };
        steps.extend(keys);
        let mut path = known(&steps);
        if root == "data"
            && let Some((rule, below)) = self.alias_of(&path)
        {
            path = below;
            self.found.calls.entry(self.rule.clone()).or_default().insert(rule);
        } else if root != "input" {
            return false;
        }
        let headers = InputField::Headers.keys();
        if path.len() < headers.len() || !headers.iter().zip(&path).all(|(a, b)| a == b) {
            return false;
        }
        if path.len() == headers.len() {
            self.refuse_headers(key.span());
        }
        self.analysis.fields.add(InputField::Headers);
        self.header(key.span(), path.get(headers.len()).map(String::as_str));
        self.expression(default);
        true
    }

    /// Returns whether an expression names a value of the input, directly or through a rule.
    pub(super) fn is_input(&self, expr: &Ref<Expr>) -> bool {
        let Some((root, steps)) = self.names.resolve(self.module, &self.locals, expr) else { return false };
        root == "input" || (root == "data" && self.alias_of(&known(&steps)).is_some())
    }

    /// Returns the rule that begins a path and only renames a value of the input, and the path below `input`.
    fn alias_of(&self, path: &[String]) -> Option<(Vec<String>, Vec<String>)> {
        let rule = (1..=path.len()).find_map(|end| path.get(..end).filter(|rule| self.is_rule(rule)))?;
        let steps = known(self.names.aliases.get(rule)?);
        let below = path.get(rule.len()..).unwrap_or_default();
        Some((rule.to_vec(), steps.into_iter().chain(below.iter().cloned()).collect()))
    }

    /// Refuses `x.headers[":path"]` where `x` is a local name for a value of the input.
    fn refuse_header_below_a_name(&mut self, expr: &Ref<Expr>) {
        let Some((root, steps)) = names::chain(expr) else { return };
        if self.constants.contains_key(&root) {
            return;
        }
        let Some(position) = steps.iter().position(|step| *step == Step::Key("headers".to_owned())) else {
            return;
        };
        match steps.get(position + 1) {
            Some(Step::Key(name)) if is_name_of_a_header(name) => {}
            Some(Step::Key(name)) => self.refuse_header(expr.span(), name),
            Some(Step::Unknown) | None if self.requests.contains(&root) => self.refuse_headers(expr.span()),
            Some(Step::Unknown) | None => {}
        }
    }

    fn refuse_headers(&mut self, span: &Span) {
        let help = "write `input.attributes.request.http.headers[\"x-team\"]`, with the name in lower case";
        self.fault(span, "headers can only be read one by one, by a name that stands in the text", help);
    }

    fn refuse_header(&mut self, span: &Span, name: &str) {
        let help = "names of headers are in lower case here, and what HTTP/2 writes as `:path` is `input.attributes.request.http.path`";
        self.fault(span, format!("there is never a header `{name}`"), help);
    }

    fn header(&mut self, span: &Span, name: Option<&str>) {
        match name {
            Some(name) if !is_name_of_a_header(name) => self.refuse_header(span, name),
            Some(name) => {
                if let Some(headers) = &mut self.analysis.headers {
                    headers.insert(name.to_owned());
                }
            }
            None => self.analysis.headers = None,
        }
    }
}

fn is_name_of_a_header(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

/// The keys of a constant key or path.
fn constant_keys(key: &Ref<Expr>) -> Option<Vec<Step>> {
    match key.as_ref() {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            Some(vec![Step::Key(value.as_string().ok()?.to_string())])
        }
        Expr::Array { items, .. } => {
            let keys: Option<Vec<Vec<Step>>> = items
                .iter()
                .map(
                    |item| {
                        if matches!(item.as_ref(), Expr::Array { .. }) { None } else { constant_keys(item) }
                    },
                )
                .collect();
            Some(keys?.concat())
        }
        _ => None,
    }
}
