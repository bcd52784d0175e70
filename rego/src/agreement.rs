//! Compares the engines: their answers to requests that are generated from the policy's own words.
//!
//! The VM evaluates some policies wrongly without an error. The analysis keeps such policies away from it,
//! but knows only the faults that were known when it was written. So `check` rejects a policy if the answers of the
//! engines differ, if its text and its rewritten form differ, or if it fails in use.

use std::collections::BTreeSet;

use regorus::Value;

use crate::answer::InvalidAnswer;
use crate::bundle::Bundle;
use crate::compiled::ENGINE_FAULT;
use crate::evaluation_error::EvaluationError;
use crate::fault::{Fault, Place};
use crate::input::Input;
use crate::program::Program;

/// The number of generated requests. It is small while a fuzzer generates policies, because a sanitizer takes 13
/// seconds for as many.
const REQUESTS: usize = if cfg!(fuzzing) { 30 } else { 1500 };
/// How often an engine may exceed a limit before it is dropped from the comparison.
const GIVEN_UP: usize = 20;
/// The number of words from the policy and its data that are tried.
const WORDS: usize = 400;
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"];

/// Advice about a panic of the engine.
pub(crate) const PANIC_HELP: &str =
    "say it in another way, and report it: in the filter it would end connections";

/// Sends equal requests to all programs. The first program is the policy as written, in the interpreter; the last is
/// the one in use.
pub(crate) fn faults(bundle: &Bundle, query_place: Option<&Place>, programs: &[&Program]) -> Vec<Fault> {
    let words = words(bundle);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut given_up = 0;
    let mut programs = programs;
    for _ in 0..REQUESTS {
        let request = Request::new(&words, &mut chance);
        let answers = request
            .with_input(|input| programs.iter().map(|program| program.evaluate(input)).collect::<Vec<_>>());
        let Some((written, others)) = answers.split_first() else { break };
        // The policy as written may exceed a limit just because it searches a long list.
        given_up += usize::from(*written == Err(EvaluationError::Exhausted));
        if let (GIVEN_UP.., [_, rest @ ..]) = (given_up, programs) {
            (programs, given_up) = (rest, 0);
        }
        if answers.contains(&Err(EvaluationError::Panicked)) {
            let message = format!("asked about {}: {ENGINE_FAULT}", request.describe());
            return vec![Fault { place: query_place.cloned(), ..Fault::without_place(message, PANIC_HELP) }];
        }
        if others.iter().any(|other| !agree(written, other)) {
            let message = format!("the engines do not agree about {}", request.describe());
            let help = "say it in another way, and report it: this policy must not be trusted to either";
            return vec![Fault::without_place(message, help)];
        }
        let error = match answers.last() {
            None | Some(Ok(_)) => continue,
            Some(Err(error)) => error,
        };
        let fails = match error {
            EvaluationError::Input(_) | EvaluationError::Answer(InvalidAnswer::Undefined) => false,
            EvaluationError::Answer(_)
            | EvaluationError::Exhausted
            | EvaluationError::Panicked
            | EvaluationError::Engine(_) => true,
        };
        if fails {
            let message = format!("asked about {}: {error}", request.describe());
            return vec![Fault::without_place(
                message,
                "such a request is denied whatever the policy means to say",
            )];
        }
    }
    Vec::new()
}

/// Compares two answers. An engine's error message, and the point at which it exceeds a limit, may differ.
pub(crate) fn agree(
    one: &Result<crate::Answer, EvaluationError>,
    other: &Result<crate::Answer, EvaluationError>,
) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(EvaluationError::Exhausted), _) | (_, Err(EvaluationError::Exhausted)) => true,
        (Err(EvaluationError::Engine(_)), Err(_)) => true,
        (one, other) => one == other,
    }
}

/// Collects texts that the policy may compare with: its literals, and texts in its data.
fn words(bundle: &Bundle) -> Vec<String> {
    let mut words = BTreeSet::new();
    for module in &bundle.modules {
        // The pieces are the texts between quotes, and sometimes the text between two strings. Both are useful.
        let pieces = module.text.split(['"', '`']).filter(|piece| piece.len() <= 200);
        words.extend(pieces.filter(|piece| !piece.contains('\n')).map(str::to_owned));
    }
    if let Ok(data) = Value::from_json_str(&bundle.data) {
        collect(&data, &mut words);
    }
    words.extend(["", "/", "example.com", "a.example", "/a", "/a/b"].map(str::to_owned));
    words.into_iter().collect()
}

fn collect(value: &Value, words: &mut BTreeSet<String>) {
    if words.len() > WORDS {
        return;
    }
    match value {
        Value::String(text) => {
            words.insert(text.to_string());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            collect(key, words);
            collect(value, words);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Set(_) | Value::Undefined => {}
    }
}

/// A generated request.
#[derive(Debug)]
struct Request {
    method: &'static str,
    host: String,
    path: String,
    query: Option<String>,
    https: bool,
    headers: Vec<(String, String)>,
}

impl Request {
    fn new(words: &[String], chance: &mut Chance) -> Request {
        let mut path = String::new();
        for _ in 0..=chance.below(3) {
            let word = chance.word(words);
            if !word.starts_with('/') {
                path.push('/');
            }
            path.push_str(word);
        }
        let query = (chance.below(4) == 0)
            .then(|| format!("{}={}", chance.word(words).replace([';', '%'], ""), chance.word(words)));
        let header =
            |chance: &mut Chance| (chance.word(words).to_ascii_lowercase(), chance.word(words).to_owned());
        let fields = chance.below(3);
        Request {
            method: METHODS.get(chance.below(METHODS.len())).copied().unwrap_or("GET"),
            host: chance.word(words).to_owned(),
            query: query.filter(|query| !query.contains(['%', ';'])),
            path,
            https: chance.below(4) > 0,
            headers: (0..fields).map(|_| header(chance)).collect(),
        }
    }

    fn with_input<T>(&self, ask: impl FnOnce(&Input<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        ask(&Input {
            method: self.method,
            scheme: if self.https { "https" } else { "http" },
            host: &self.host,
            principal: self.https.then_some(self.host.as_str()),
            path: Some(&self.path),
            decoded_path: Some(self.path.as_bytes()),
            query: self.query.as_deref().map(str::as_bytes),
            headers: &headers,
        })
    }

    fn describe(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let text = format!("`{} {scheme}://{}{}{query}`", self.method, self.host, self.path);
        text.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// A random number generator with a fixed sequence (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }

    fn word<'w>(&mut self, words: &'w [String]) -> &'w str {
        let word = self.below(words.len());
        words.get(word).map(String::as_str).unwrap_or_default()
    }
}
