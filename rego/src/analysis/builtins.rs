//! The builtins that a policy may call.
//!
//! Each is a function of its arguments alone, and its result is bounded by their sum, or by a constant times it. What
//! is left out would ask the clock, the network or chance, or make much out of little (`numbers.range`, `bits.lsh`).

/// How an argument must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing is demanded of it.
    Any,
    /// It may not depend on the request: a pattern is compiled, a replacement is repeated.
    Constant,
    /// It must stand in the text.
    Literal,
}

use Demand::{Any, Constant, Literal};

/// Builtins with demands on their arguments; arguments behind the last one are free.
const DEMANDING: &[(&str, &[Demand])] = &[
    ("sprintf", &[Literal]),
    ("replace", &[Any, Any, Constant]),
    ("strings.replace_n", &[Constant]),
    ("concat", &[Constant]),
    ("regex.match", &[Constant]),
    ("regex.is_valid", &[Constant]),
    ("regex.split", &[Constant]),
    ("regex.find_n", &[Constant]),
    ("regex.find_all_string_submatch_n", &[Constant]),
    ("regex.replace", &[Any, Constant, Constant]),
    ("regex.template_match", &[Constant, Any, Constant, Constant]),
    ("glob.match", &[Constant, Constant]),
    // `1e1000000000` is as many digits.
    ("units.parse", &[Constant]),
    ("units.parse_bytes", &[Constant]),
];

/// Builtins that may be called with anything.
#[rustfmt::skip]
const FREE: &[&str] = &[
    "contains", "endswith", "format_int", "indexof", "indexof_n", "lower", "split", "startswith",
    "strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.reverse", "substring",
    "trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper", "abs", "ceil",
    "floor", "round", "count", "max", "min", "product", "sort", "sum", "array.concat", "array.reverse",
    "array.slice", "intersection", "union", "object.filter", "object.get", "object.keys", "object.remove",
    "object.subset", "object.union", "object.union_n", "json.filter", "json.remove", "json.is_valid",
    "json.marshal", "json.unmarshal", "is_array", "is_boolean", "is_null", "is_number", "is_object",
    "is_set", "is_string", "type_name", "to_number", "base64.decode", "base64.encode", "base64.is_valid",
    "base64url.decode", "base64url.encode", "base64url.encode_no_pad", "hex.decode", "hex.encode",
    "semver.compare", "semver.is_valid", "glob.quote_meta", "bits.and", "bits.negate", "bits.or",
    "bits.rsh", "bits.xor",
];

/// The demands on the arguments of a builtin, if it may be called.
pub(super) fn demands(name: &str) -> Option<&'static [Demand]> {
    let demanding = DEMANDING.iter().find(|(builtin, _)| *builtin == name).map(|(_, demands)| *demands);
    demanding.or_else(|| FREE.contains(&name).then_some(&[]))
}

/// What to do instead of a builtin that is not there.
pub(super) fn instead(name: &str) -> &'static str {
    match name.split('.').next().unwrap_or_default() {
        "http" => "a policy asks nobody while a request waits: bring what it needs as data",
        "time" | "rand" | "uuid" | "opa" => "a decision depends on the request and the data alone",
        "io" | "crypto" => "tokens and signatures are not checked here: let the real host check them",
        "print" | "trace" => "remove it: `weir explain` shows what was decided, and why",
        "net" => "compare hosts by name: addresses are for `addresses` of a rule",
        "numbers" | "bits" => "its result can be far larger than what it is given",
        _ => "`docs/rego.md` lists the builtins that there are",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_documentation_lists_every_builtin() {
        let text = include_str!("../../../docs/rego.md");
        let list = text.split("## Builtins\n").nth(1).expect("a section on builtins");
        let documented: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        let known = DEMANDING.iter().map(|(name, _)| name).chain(FREE).copied();
        assert_eq!(documented, known.collect());
    }
}
