//! The input of an evaluation: the fields that the policy reads, in the layout of OPA's Envoy plugin.

use std::collections::BTreeMap;

use regorus::Value;

use crate::input_fields::InputField;
use crate::limits;
use crate::plan::Plan;

/// A request. Every value is canonical, so that one request has one spelling. All values are untrusted.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The scheme: `https` or `http`.
    pub scheme: &'a str,
    /// The canonical host, followed by its port if that differs from the scheme's default.
    pub host: &'a str,
    /// For TLS, the name in the certificate that Envoy presented to the client.
    pub principal: Option<&'a str>,
    /// The canonical path, percent-encoded, without its query. `None` if the path is ambiguous.
    pub path: Option<&'a str>,
    /// The canonical path, decoded.
    pub decoded_path: Option<&'a [u8]>,
    /// The text after the first `?`.
    pub query: Option<&'a [u8]>,
    /// All headers, names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// An error for a request that cannot become input, because a field that the policy reads is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// The policy reads the path, and the path is ambiguous.
    #[error("the path can be read in two ways")]
    AmbiguousPath,
    /// A field contains bytes that are not UTF-8, or an invalid escape.
    #[error("a part of the request that the policy reads is not text")]
    NotText,
    /// The fields exceed the size limits.
    #[error("the parts of the request that the policy reads are too large")]
    TooLarge,
}

/// Makes inputs for one policy. Their keys are allocated once.
#[derive(Debug)]
pub(crate) struct InputMaker {
    fields: Vec<(InputField, Vec<Value>)>,
    headers: Option<Vec<(String, Value)>>,
}

impl InputMaker {
    pub(crate) fn new(plan: &Plan) -> InputMaker {
        let fields = InputField::ALL.into_iter().filter(|field| plan.fields.has(*field));
        let key = |key: &&str| Value::from(*key);
        InputMaker {
            fields: fields.map(|field| (field, field.keys().iter().map(key).collect())).collect(),
            headers: plan
                .headers
                .as_ref()
                .map(|names| names.iter().map(|name| (name.clone(), Value::from(name.as_str()))).collect()),
        }
    }

    pub(crate) fn reads_headers(&self) -> bool {
        self.fields.iter().any(|(field, _)| *field == InputField::Headers)
    }

    pub(crate) fn make(&self, input: &Input<'_>) -> Result<Value, InvalidInput> {
        let mut budget = Budget { left: limits::INPUT_BYTES };
        let mut root = Branch::default();
        for (field, keys) in &self.fields {
            let value = match field {
                InputField::Method => Some(budget.text(input.method)?),
                InputField::Scheme => Some(budget.text(input.scheme)?),
                InputField::Host => Some(budget.text(input.host)?),
                InputField::Principal => input.principal.map(|name| budget.text(name)).transpose()?,
                InputField::Path => Some(path(input, &mut budget)?),
                InputField::ParsedPath => Some(parsed_path(input, &mut budget)?),
                InputField::ParsedQuery => Some(parsed_query(input, &mut budget)?),
                InputField::Headers => Some(self.headers(input, &mut budget)?),
            };
            if let Some(value) = value {
                root.insert(keys, value);
            }
        }
        Ok(root.into_value())
    }

    fn headers(&self, input: &Input<'_>, budget: &mut Budget) -> Result<Value, InvalidInput> {
        let mut found: BTreeMap<Value, Vec<u8>> = BTreeMap::new();
        for (name, value) in input.headers {
            let key = match &self.headers {
                Some(read) => read.iter().find(|(header, _)| header == name).map(|(_, key)| key.clone()),
                None => Some(budget.text(name)?),
            };
            let Some(key) = key else { continue };
            budget.take(value.len())?;
            // Repeated headers are joined as Envoy joins them.
            let joined = found.entry(key).or_default();
            if !joined.is_empty() {
                joined.push(b',');
            }
            joined.extend_from_slice(value);
        }
        let texts = found.into_iter().map(|(key, value)| {
            let text = String::from_utf8(value).map_err(|_| InvalidInput::NotText)?;
            Ok((key, Value::from(text)))
        });
        Ok(Value::from(texts.collect::<Result<BTreeMap<Value, Value>, InvalidInput>>()?))
    }
}

/// An object under construction.
#[derive(Default)]
struct Branch<'k> {
    leaves: Vec<(&'k Value, Value)>,
    branches: Vec<(&'k Value, Branch<'k>)>,
}

impl<'k> Branch<'k> {
    fn insert(&mut self, keys: &'k [Value], value: Value) {
        match keys {
            [] => {}
            [key] => self.leaves.push((key, value)),
            [key, rest @ ..] => {
                let place = self.branches.iter().position(|(known, _)| *known == key);
                let place = place.unwrap_or_else(|| {
                    self.branches.push((key, Branch::default()));
                    self.branches.len() - 1
                });
                if let Some((_, branch)) = self.branches.get_mut(place) {
                    branch.insert(rest, value);
                }
            }
        }
    }

    fn into_value(self) -> Value {
        let branches = self.branches.into_iter().map(|(key, branch)| (key.clone(), branch.into_value()));
        let leaves = self.leaves.into_iter().map(|(key, value)| (key.clone(), value));
        Value::from(branches.chain(leaves).collect::<BTreeMap<_, _>>())
    }
}

/// The number of bytes that the input may still grow by.
struct Budget {
    left: usize,
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), InvalidInput> {
        self.left = self.left.checked_sub(bytes).ok_or(InvalidInput::TooLarge)?;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<Value, InvalidInput> {
        self.take(text.len())?;
        Ok(Value::from(text))
    }

    fn decoded(&mut self, bytes: &[u8]) -> Result<Value, InvalidInput> {
        self.text(core::str::from_utf8(bytes).map_err(|_| InvalidInput::NotText)?)
    }
}

/// The path with its query, in Envoy's form.
fn path(input: &Input<'_>, budget: &mut Budget) -> Result<Value, InvalidInput> {
    let path = input.path.ok_or(InvalidInput::AmbiguousPath)?;
    let Some(query) = input.query else { return budget.text(path) };
    let query = core::str::from_utf8(query).map_err(|_| InvalidInput::NotText)?;
    budget.text(&format!("{path}?{query}"))
}

/// The path's segments, split as OPA's Envoy plugin splits them: `/a/b` is `["a", "b"]`, and `/` is `[""]`.
fn parsed_path(input: &Input<'_>, budget: &mut Budget) -> Result<Value, InvalidInput> {
    let path = input.decoded_path.ok_or(InvalidInput::AmbiguousPath)?;
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if path.split(|byte| *byte == b'/').count() > limits::INPUT_PARTS {
        return Err(InvalidInput::TooLarge);
    }
    let segments = path.split(|byte| *byte == b'/').map(|segment| budget.decoded(segment));
    Ok(Value::from(segments.collect::<Result<Vec<_>, _>>()?))
}

/// Each key of the query with all its values in order. A `+` is a space, and an invalid escape is an error.
fn parsed_query(input: &Input<'_>, budget: &mut Budget) -> Result<Value, InvalidInput> {
    let query = input.query.unwrap_or_default();
    let pairs = || query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    if pairs().count() > limits::INPUT_PARTS {
        return Err(InvalidInput::TooLarge);
    }
    let mut found: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for pair in pairs() {
        // OPA drops such a pair, but a server may read it.
        if pair.contains(&b';') {
            return Err(InvalidInput::NotText);
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let [key, value] = [halves.next(), halves.next()].map(Option::unwrap_or_default);
        let key = budget.decoded(&decode(key)?)?;
        found.entry(key).or_default().push(budget.decoded(&decode(value)?)?);
    }
    let found = found.into_iter().map(|(key, values)| (key, Value::from(values)));
    Ok(Value::from(found.collect::<BTreeMap<_, _>>()))
}

fn decode(text: &[u8]) -> Result<Vec<u8>, InvalidInput> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, behind) = rest.split_first_chunk::<2>().ok_or(InvalidInput::NotText)?;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                let value = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                rest = behind;
                value.ok_or(InvalidInput::NotText)?
            }
            byte => *byte,
        });
    }
    Ok(decoded)
}
