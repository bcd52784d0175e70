//! Generates small policies of every form from a small vocabulary, so that their rules interact.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// The number of rules and functions below the answering rule. Each may use the earlier ones.
const LEVELS: usize = 3;

const INPUT: [&str; 9] = [
    "input.attributes.request.http.method",
    "input.attributes.request.http.host",
    "input.attributes.request.http.path",
    "input.parsed_query",
    "input.attributes.request.http.headers[\"x-a\"]",
    "input.attributes.destination.principal",
    "input.parsed_path",
    "input.parsed_path[0]",
    "input.parsed_path[1]",
];
const DATA: [&str; 6] =
    ["data.list", "data.map", "data.map.a", "data.nested.a.list", "data.missing", "data.truth.no"];
const CONSTANTS: [&str; 12] = [
    "\"a\"",
    "\"b\"",
    "\"\"",
    "0",
    "1",
    "2",
    "true",
    "false",
    "null",
    "[\"a\", \"b\"]",
    "{\"a\", 1}",
    "{\"a\": 1, \"b\": false}",
];
const LOOPED: [&str; 7] = [
    "data.list",
    "data.map",
    "data.nested.a.list",
    "input.parsed_path",
    "input.parsed_query",
    "{\"a\", \"b\"}",
    "[\"a\", 1]",
];
const COMPARISONS: [&str; 7] = ["==", "!=", "<", "<=", ">", ">=", "=="];

/// The family of generated forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Forms that the VM may be trusted with.
    Plain,
    /// All forms.
    Any,
}

type Text = BoxedStrategy<String>;

fn text<T: Into<String> + Clone + core::fmt::Debug + 'static>(options: Vec<T>) -> Text {
    select(options).prop_map(Into::into).boxed()
}

/// Replaces each `$` of a template with a text.
fn fill(template: &str, parts: &[String]) -> String {
    let mut pieces = template.split('$');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.zip(parts).fold(first, |text, (piece, part)| text + part + piece)
}

fn fill_one((template, part): (&str, String)) -> String {
    fill(template, &[part])
}

fn fill_two((template, one, two): (&str, String, String)) -> String {
    fill(template, &[one, two])
}

/// The context of generated text: the rules below it, and the local names.
#[derive(Clone, Copy)]
struct Scope {
    family: Family,
    level: usize,
    locals: &'static [&'static str],
}

impl Scope {
    fn with(self, locals: &'static [&'static str]) -> Scope {
        Scope { locals, ..self }
    }

    fn leaf(self) -> Text {
        let mut options =
            vec![(4, text(CONSTANTS.to_vec())), (4, text(INPUT.to_vec())), (2, text(DATA.to_vec()))];
        if self.level > 0 {
            let rules: Vec<String> = (0..self.level).map(|rule| format!("r{rule}")).collect();
            options.push((8, text(rules)));
        }
        if !self.locals.is_empty() {
            options.push((8, text(self.locals.to_vec())));
        }
        Union::new_weighted(options).boxed()
    }

    /// A collection to loop over. In the plain family it is sure to be a collection.
    fn looped(self) -> Text {
        let known = text(LOOPED.to_vec());
        match (self.family, self.level) {
            (Family::Plain, 0) => known,
            // Only rules that build sets are sure to be collections.
            (Family::Plain, level) => {
                let rules: Vec<String> = (0..level).map(|rule| format!("r{rule}")).collect();
                prop_oneof![3 => known, 1 => text(rules)].boxed()
            }
            (Family::Any, _) => prop_oneof![2 => known, 1 => self.collection()].boxed(),
        }
    }

    /// A value that may have entries.
    fn collection(self) -> Text {
        let rules: Vec<String> = (0..self.level).map(|rule| format!("r{rule}")).collect();
        let known = [
            "data.list",
            "data.map",
            "data.nested.a.list",
            "input.parsed_path",
            "{\"a\", \"b\"}",
            "[\"a\", 1]",
        ];
        let known = known.iter().map(ToString::to_string).chain(rules).collect();
        prop_oneof![5 => text::<String>(known), 1 => self.leaf()].boxed()
    }

    fn term(self) -> Text {
        let (leaf, collection, looped) = (self.leaf(), self.collection(), self.looped());
        let rules = (0..self.level).map(|rule| format!("r{rule}"));
        let names: Vec<String> =
            self.locals.iter().map(ToString::to_string).chain(rules).chain(["data.map".to_owned()]).collect();
        let one = |templates: &'static [&str]| (select(templates), leaf.clone()).prop_map(fill_one).boxed();
        let two = |templates: &'static [&str]| {
            (select(templates), leaf.clone(), leaf.clone()).prop_map(fill_two).boxed()
        };
        let mut options = vec![
            (8, leaf.clone()),
            (1, one(&["count($)", "lower($)", "is_string($)", "to_number($)", "type_name($)", "max($)"])),
            (
                1,
                two(&[
                    "startswith($, $)",
                    "contains($, $)",
                    "trim_prefix($, $)",
                    "split($, $)",
                    "endswith($, $)",
                ]),
            ),
            (1, two(&["sprintf(\"%v/%v\", [$, $])", "object.get($, $, \"a\")"])),
            (2, two(&["[$, $]", "{$, $}", "{\"a\": $, \"b\": $}", "{\"a\": $, $: 1}"])),
            (1, two(&["($ == $)", "($ != $)", "($ < $)", "($ >= $)"])),
            (2, (Just("$[$]"), collection.clone(), leaf.clone()).prop_map(fill_two).boxed()),
            (1, (Just("$[$]"), text(INPUT.to_vec()), leaf.clone()).prop_map(fill_two).boxed()),
            (1, (Just("$.a"), text(names)).prop_map(fill_one).boxed()),
            (1, (Just("$[_]"), looped.clone()).prop_map(fill_one).boxed()),
        ];
        if self.level > 0 {
            let functions: Vec<String> = (0..self.level).map(|function| format!("f{function}")).collect();
            let function = text(functions);
            options.push((4, (Just("$($)"), function.clone(), leaf.clone()).prop_map(fill_two).boxed()));
            options.push((1, (Just("$($[_])"), function, looped).prop_map(fill_two).boxed()));
        }
        if self.family == Family::Any {
            options
                .push((1, two(&["$ + $", "$ - $", "$ * $", "$ / $", "$ % $", "$ | $", "$ & $", "-$ - $"])));
            options
                .push((1, (Just("($ in $)"), leaf.clone(), collection.clone()).prop_map(fill_two).boxed()));
            let inner = Scope { family: Family::Plain, ..self }.with(&["z"]);
            let templates = ["[$ | some z in $; $]", "{$ | some z in $; $}", "{z: $ | some z in $; $}"];
            let comprehension = (select(templates.to_vec()), inner.leaf(), collection, inner.plain());
            options
                .push((3, comprehension.prop_map(|(template, a, b, c)| fill(template, &[a, b, c])).boxed()));
        }
        Union::new_weighted(options).boxed()
    }

    /// A condition.
    fn plain(self) -> Text {
        let term = self.term();
        let compare = (term.clone(), select(COMPARISONS.to_vec()), self.leaf())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}"));
        let within = (Just("$ in $"), term.clone(), self.collection()).prop_map(fill_two);
        let each = (Just("$[_] == $"), self.looped(), self.leaf()).prop_map(fill_two);
        let mut options =
            vec![(6, term.clone()), (8, compare.boxed()), (4, within.boxed()), (2, each.boxed())];
        if self.family == Family::Any {
            let with_key =
                (self.leaf(), term, self.collection()).prop_map(|(a, b, c)| fill("$, $ in $", &[a, b, c]));
            options.push((2, with_key.boxed()));
        }
        (option::weighted(0.35, Just("not ")), Union::new_weighted(options))
            .prop_map(|(not, text)| format!("{}{text}", not.unwrap_or_default()))
            .boxed()
    }

    fn statement(self) -> Text {
        if self.family == Family::Plain {
            return self.plain();
        }
        let inner = self.with(&["w"]);
        let every = (select(vec!["w", "_, w", "w, _"]), self.collection(), inner.plain())
            .prop_map(|(names, c, s)| format!("every {} in {c} {{ {s} }}", names.replace('_', "v")));
        let with = (self.plain(), select(INPUT.to_vec()), self.leaf())
            .prop_map(|(s, place, value)| format!("{s} with {place} as {value}"));
        prop_oneof![8 => self.plain(), 1 => every, 1 => with].boxed()
    }

    /// The statements of a body, the first of which declare names, and those names.
    fn body(self) -> BoxedStrategy<(String, &'static [&'static str])> {
        let none = vec(self.statement(), 1..4).prop_map(|lines| (lines, &[][..]));
        let scope = self.with(&["x"]);
        let one = (self.declaration("x"), vec(scope.statement(), 0..3))
            .prop_map(|(first, rest)| ([vec![first], rest].concat(), &["x"][..]));
        let (both, x) = (self.with(&["x", "y"]), self.with(&["x"]));
        let two = (self.declaration("x"), x.declaration("y"), vec(both.statement(), 0..3))
            .prop_map(|(first, second, rest)| ([vec![first, second], rest].concat(), &["x", "y"][..]));
        let pair = (self.looped(), vec(both.statement(), 0..3))
            .prop_map(|(c, rest)| ([vec![format!("some x, y in {c}")], rest].concat(), &["x", "y"][..]));
        // A function's argument names remain in scope.
        let own = self.locals;
        prop_oneof![4 => none, 3 => one, 1 => two, 1 => pair]
            .prop_map(move |(lines, names): (Vec<String>, &'static [&'static str])| {
                (lines.join("; "), if names.is_empty() { own } else { names })
            })
            .boxed()
    }

    fn declaration(self, name: &'static str) -> Text {
        prop_oneof![
            4 => self.term().prop_map(move |t| format!("{name} := {t}")),
            2 => self.looped().prop_map(move |c| format!("some {name} in {c}")),
            1 => self.looped().prop_map(move |c| format!("some _, {name} in {c}")),
            1 => self.looped().prop_map(move |c| format!("some {name}; {c}[{name}]")),
            1 => (self.looped(), self.leaf()).prop_map(move |(c, v)| format!("some {name}; {c}[{name}] == {v}")),
        ]
        .boxed()
    }

    /// The value of a definition with this body. In a loop of the plain family only a constant is sure to be a single
    /// value.
    fn value(self, body: &str) -> Text {
        let constant = text(CONSTANTS.to_vec());
        let plain = self.family == Family::Plain;
        if plain && (body.contains("some ") || body.contains('[')) {
            return constant;
        }
        let term = self.term().prop_map(move |term| if plain { term.replace("[_]", "[0]") } else { term });
        prop_oneof![1 => constant, 2 => term].boxed()
    }

    /// The text `= value if { … } else …` after a rule's head.
    fn definition(self) -> Text {
        let scope = self;
        let alternative = self.body().prop_flat_map(move |(lines, names)| {
            (option::weighted(0.6, scope.with(names).value(&lines)), Just(lines))
        });
        (vec(alternative, 1..3), option::weighted(0.15, text(CONSTANTS.to_vec())), 0..10_u8)
            .prop_map(|(alternatives, last, few)| {
                let count = if few < 7 { 1 } else { alternatives.len() };
                let alternatives: Vec<String> = alternatives
                    .into_iter()
                    .take(count)
                    .map(|(value, lines)| {
                        let value = value.map(|value| format!(" := {value}")).unwrap_or_default();
                        format!("{value} if {{ {lines} }}")
                    })
                    .collect();
                let last = last.map(|value| format!(" else := {value}")).unwrap_or_default();
                format!("{}{last}", alternatives.join(" else"))
            })
            .boxed()
    }

    fn rule(self) -> Text {
        let name = format!("r{}", self.level);
        let constant = text(CONSTANTS.to_vec());
        let complete = {
            let (name, single) = (name.clone(), name.clone());
            let many = (option::weighted(0.4, constant.clone()), definitions(self.definition())).prop_map(
                move |(default, definitions)| {
                    let default =
                        default.map(|value| format!("default {name} := {value}\n")).unwrap_or_default();
                    let all: String =
                        definitions.iter().map(|definition| format!("{name}{definition}\n")).collect();
                    format!("{default}{all}")
                },
            );
            let one = self.term().prop_map(move |value| format!("{single} := {value}\n"));
            prop_oneof![5 => many, 1 => one]
        };
        let scope = self;
        let (set, object) = (name.clone(), name);
        let element = |name: String, object: bool| {
            vec(
                scope.body().prop_flat_map(move |(lines, names)| {
                    (scope.with(names).leaf(), scope.with(names).term(), Just(lines))
                }),
                1..3,
            )
            .prop_map(move |all| {
                all.into_iter()
                    .map(|(key, value, lines)| {
                        if object {
                            format!("{name}[{key}] := {value} if {{ {lines} }}\n")
                        } else {
                            format!("{name} contains {value} if {{ {lines} }}\n")
                        }
                    })
                    .collect::<String>()
            })
        };
        if self.family == Family::Plain {
            return prop_oneof![3 => complete, 2 => element(set, false)].boxed();
        }
        prop_oneof![4 => complete, 1 => element(set, false), 1 => element(object, true)].boxed()
    }

    fn function(self) -> Text {
        let name = format!("f{}", self.level);
        let default = text(CONSTANTS.to_vec());
        let head = select(vec!["x", "x", "x", "\"a\"", "1", "[\"a\", x]"]);
        let scope = self;
        let definition = head.prop_flat_map(move |head| {
            let locals: &'static [&'static str] = if head.contains('x') { &["x"] } else { &[] };
            // The argument is called `x`, and the body's own names differ from it.
            let scope = scope.with(locals);
            let both: &'static [&'static str] = if locals.is_empty() { &["y"] } else { &["x", "y"] };
            let body = vec(scope.statement(), 1..3);
            let named = (scope.declaration("y"), vec(scope.with(both).statement(), 0..2))
                .prop_map(|(first, rest)| [vec![first], rest].concat());
            prop_oneof![3 => body, 1 => named].prop_flat_map(move |lines| {
                let lines = lines.join("; ");
                (Just(head), option::weighted(0.7, scope.value(&lines)), Just(lines))
            })
        });
        let default = match self.family {
            Family::Plain => Just(None).boxed(),
            Family::Any => option::weighted(0.1, default).boxed(),
        };
        (default, definitions(definition))
            .prop_map(move |(default, definitions)| {
                let default =
                    default.map(|value| format!("default {name}(_) := {value}\n")).unwrap_or_default();
                let all: String = definitions
                    .into_iter()
                    .map(|(head, value, lines)| {
                        let value = value.map(|value| format!(" := {value}")).unwrap_or_default();
                        format!("{name}({head}){value} if {{ {lines} }}\n")
                    })
                    .collect();
                format!("{default}{all}")
            })
            .boxed()
    }
}

/// One definition, or sometimes several. Definitions that contradict each other need the interpreter.
fn definitions<T: core::fmt::Debug>(one: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![9 => vec(one.clone(), 1), 1 => vec(one, 2..4)]
}

/// A policy whose query is `data.p.allow`.
pub(super) fn policy(family: Family) -> Text {
    let levels: Vec<Text> = (0..LEVELS)
        .flat_map(|level| {
            let scope = Scope { family, level, locals: &[] };
            [scope.rule(), scope.function()]
        })
        .collect();
    let top = Scope { family, level: LEVELS, locals: &[] };
    let allow = (option::weighted(0.5, select(vec!["false", "true"])), definitions(top.definition()))
        .prop_map(|(default, definitions)| {
            let default = default.map(|value| format!("default allow := {value}\n")).unwrap_or_default();
            let all: String = definitions.iter().map(|definition| format!("allow{definition}\n")).collect();
            format!("{default}{all}")
        });
    (levels, allow)
        .prop_map(|(levels, allow)| format!("package p\n\nimport rego.v1\n\n{}\n{allow}", levels.join("\n")))
        .boxed()
}

/// The data of all generated policies.
pub(super) const DATA_TEXT: &str = r#"{"list": ["a", "b", "GET"], "map": {"a": "b", "b": ["a"], "GET": 1}, "nested": {"a": {"list": ["a"]}}, "truth": {"no": false}}"#;
