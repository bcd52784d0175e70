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

/// The demands on the arguments of a builtin; those behind the last one are free.
pub(super) fn demands(name: &str) -> Option<&'static [Demand]> {
    use Demand::{Any, Constant, Literal};
    Some(match name {
        "sprintf" => &[Literal],
        "replace" => &[Any, Any, Constant],
        "strings.replace_n" => &[Constant],
        "concat" => &[Constant],
        "regex.match"
        | "regex.is_valid"
        | "regex.split"
        | "regex.find_n"
        | "regex.find_all_string_submatch_n" => &[Constant],
        "regex.replace" => &[Any, Constant, Constant],
        "regex.template_match" => &[Constant, Any, Constant, Constant],
        "glob.match" => &[Constant, Constant],
        "contains"
        | "endswith"
        | "format_int"
        | "indexof"
        | "indexof_n"
        | "lower"
        | "split"
        | "startswith"
        | "strings.any_prefix_match"
        | "strings.any_suffix_match"
        | "strings.count"
        | "strings.reverse"
        | "substring"
        | "trim"
        | "trim_left"
        | "trim_prefix"
        | "trim_right"
        | "trim_space"
        | "trim_suffix"
        | "upper"
        | "abs"
        | "ceil"
        | "floor"
        | "round"
        | "count"
        | "max"
        | "min"
        | "product"
        | "sort"
        | "sum"
        | "array.concat"
        | "array.reverse"
        | "array.slice"
        | "intersection"
        | "union"
        | "object.filter"
        | "object.get"
        | "object.keys"
        | "object.remove"
        | "object.subset"
        | "object.union"
        | "object.union_n"
        | "json.filter"
        | "json.remove"
        | "json.is_valid"
        | "json.marshal"
        | "json.unmarshal"
        | "is_array"
        | "is_boolean"
        | "is_null"
        | "is_number"
        | "is_object"
        | "is_set"
        | "is_string"
        | "type_name"
        | "to_number"
        | "base64.decode"
        | "base64.encode"
        | "base64.is_valid"
        | "base64url.decode"
        | "base64url.encode"
        | "base64url.encode_no_pad"
        | "hex.decode"
        | "hex.encode"
        | "semver.compare"
        | "semver.is_valid"
        | "glob.quote_meta"
        | "bits.and"
        | "bits.negate"
        | "bits.or"
        | "bits.rsh"
        | "bits.xor"
        | "units.parse"
        | "units.parse_bytes" => &[],
        _ => return None,
    })
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
        _ => "README.md lists the builtins that there are",
    }
}
