//! The builtins that a policy may call.
//!
//! Each builtin is a function of its arguments alone, and the sum of its arguments, or a constant times it, bounds
//! the size of its result. The list excludes builtins that read the clock, the network or random numbers, and
//! builtins that make much out of little (`numbers.range`, `bits.lsh`).
//!
//! The list is an allow-list. The code of each builtin was read for panics, and the tests call it with every
//! combination of edge values, because a panic in the filter ends every stream of its worker. A builtin of a new
//! engine version is unusable until it is listed here. Some builtins of regorus 0.14.1 panic, or overflow the stack,
//! for some arguments. A required form of these arguments excludes such calls:
//!
//! | builtin | what happens |
//! |---|---|
//! | `strings.count(x, "")`, `object.subset` with an empty array in its second argument | a panic: windows of no items |
//! | `regex.template_match` | a panic where the value is shorter than the template's text, so it is not listed |
//! | `sprintf` with a digit outside of ASCII behind `%` | a panic |
//! | `glob.match`, `glob.quote_meta` with a pattern that is large or deep | a panic: the pattern does not compile |
//! | `json.filter`, `json.remove` with a path of thousands of parts | the stack overflows |

/// The required form of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// The argument may have any form.
    Any,
    /// The argument may not depend on the request, because it is repeated as a replacement.
    Constant,
    /// The argument is a literal format with small widths and verbs that the engine knows.
    Format,
    /// The argument is a constant text that is not empty.
    Text,
    /// The argument's form shows that it contains no empty array.
    NoEmptyArray,
    /// The argument is a constant pattern that the engine compiles and reads as OPA does.
    Pattern,
    /// The argument is a constant glob of a bounded size that the engine reads as OPA does.
    Glob,
    /// The argument is null or a short array of constants.
    Delimiters,
    /// The argument is a constant list of short paths.
    Paths,
}

use Demand::{Any, Constant, Delimiters, Format, Glob, NoEmptyArray, Paths, Pattern, Text};

/// Builtins with required forms of their arguments. Arguments after the last listed one may have any form.
const DEMANDING: &[(&str, &[Demand])] = &[
    ("sprintf", &[Format]),
    ("replace", &[Any, Any, Constant]),
    ("strings.count", &[Any, Text]),
    ("strings.replace_n", &[Constant]),
    ("concat", &[Constant]),
    ("regex.match", &[Pattern]),
    ("regex.is_valid", &[Pattern]),
    ("regex.split", &[Pattern]),
    ("regex.find_n", &[Pattern]),
    ("regex.find_all_string_submatch_n", &[Pattern]),
    ("regex.replace", &[Any, Pattern, Constant]),
    ("glob.match", &[Glob, Delimiters]),
    // `glob.quote_meta` compiles the pattern.
    ("glob.quote_meta", &[Glob]),
    ("json.filter", &[Any, Paths]),
    ("json.remove", &[Any, Paths]),
    ("object.subset", &[Any, NoEmptyArray]),
    // The text `1e1000000000` would become as many digits.
    ("units.parse", &[Constant]),
    ("units.parse_bytes", &[Constant]),
];

/// Builtins that compare every part of one argument with every part of the other. Only one of the arguments may
/// depend on a request.
const PRODUCTS: &[&str] =
    &["strings.any_prefix_match", "strings.any_suffix_match", "trim", "trim_left", "trim_right"];

/// Builtins whose arguments may have any form.
#[rustfmt::skip]
const FREE: &[&str] = &[
    "contains", "endswith", "format_int", "indexof", "indexof_n", "lower", "split", "startswith",
    "strings.any_prefix_match", "strings.any_suffix_match", "strings.reverse", "substring", "trim",
    "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper", "abs", "ceil", "floor",
    "round", "count", "max", "min", "product", "sort", "sum", "array.concat", "array.reverse", "array.slice",
    "intersection", "union", "object.filter", "object.get", "object.keys", "object.remove", "object.union",
    "object.union_n", "json.is_valid", "json.marshal", "json.unmarshal", "is_array", "is_boolean", "is_null",
    "is_number", "is_object", "is_set", "is_string", "type_name", "to_number", "base64.decode",
    "base64.encode", "base64.is_valid", "base64url.decode", "base64url.encode", "base64url.encode_no_pad",
    "hex.decode", "hex.encode", "semver.compare", "semver.is_valid", "bits.and", "bits.negate", "bits.or",
    "bits.rsh", "bits.xor",
];

/// Returns the required argument forms of a builtin, or `None` if it may not be called.
pub(super) fn demands(name: &str) -> Option<&'static [Demand]> {
    let demanding = DEMANDING.iter().find(|(builtin, _)| *builtin == name).map(|(_, demands)| *demands);
    demanding.or_else(|| FREE.contains(&name).then_some(&[]))
}

/// Returns whether only one of the builtin's arguments may depend on a request.
pub(super) fn is_product(name: &str) -> bool {
    PRODUCTS.contains(&name)
}

/// Suggests an alternative to a builtin that may not be called.
pub(super) fn instead(name: &str) -> &'static str {
    if name == "regex.template_match" {
        return "write the whole as one pattern for `regex.match`: `^/users/[0-9]+$`";
    }
    match name.split('.').next().unwrap_or_default() {
        "http" => "a policy makes no calls while a request waits: put the values into the data",
        "time" | "rand" | "uuid" | "opa" => "a decision depends on the request and the data alone",
        "io" | "crypto" => "a policy cannot check tokens and signatures: let the upstream check them",
        "print" | "trace" => "remove it: `weir explain` shows the decision and its reason",
        "net" => "compare hosts by name: addresses are for `addresses` of a rule",
        "numbers" | "bits" => "its result can be far larger than its arguments",
        _ => "`docs/rego.md` lists the allowed builtins",
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
