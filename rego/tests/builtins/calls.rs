//! Policies that call every builtin with edge values, shared by the tests of every combination and the fuzz target.

use std::fmt::Write;

use weir_rego::Input;

/// Every builtin with a letter for each argument: `v` any value, `w` one of a few, `c` a constant, and the arguments with
/// a required form: `f` a format, `t` a text, `r` a pattern, `g` a glob, `d` delimiters, `p` paths, `a` a collection.
pub(crate) const BUILTINS: &[(&str, &str)] = &[
    ("sprintf", "fv"),
    ("replace", "wwc"),
    ("strings.count", "vt"),
    ("strings.replace_n", "cv"),
    ("concat", "cv"),
    ("regex.match", "rv"),
    ("regex.is_valid", "r"),
    ("regex.split", "rv"),
    ("regex.find_n", "rww"),
    ("regex.find_all_string_submatch_n", "rww"),
    ("regex.replace", "wrc"),
    ("glob.match", "gdw"),
    ("glob.quote_meta", "g"),
    ("json.filter", "vp"),
    ("json.remove", "vp"),
    ("object.subset", "va"),
    ("units.parse", "c"),
    ("units.parse_bytes", "c"),
    ("contains", "vv"),
    ("endswith", "vv"),
    ("format_int", "vv"),
    ("indexof", "vv"),
    ("indexof_n", "vv"),
    ("lower", "v"),
    ("split", "vv"),
    ("startswith", "vv"),
    ("strings.any_prefix_match", "vc"),
    ("strings.any_suffix_match", "cv"),
    ("strings.reverse", "v"),
    ("substring", "www"),
    ("trim", "vc"),
    ("trim_left", "cv"),
    ("trim_prefix", "vv"),
    ("trim_right", "vc"),
    ("trim_space", "v"),
    ("trim_suffix", "vv"),
    ("upper", "v"),
    ("abs", "v"),
    ("ceil", "v"),
    ("floor", "v"),
    ("round", "v"),
    ("count", "v"),
    ("max", "v"),
    ("min", "v"),
    ("product", "v"),
    ("sort", "v"),
    ("sum", "v"),
    ("array.concat", "vv"),
    ("array.reverse", "v"),
    ("array.slice", "www"),
    ("intersection", "v"),
    ("union", "v"),
    ("object.filter", "vv"),
    ("object.get", "www"),
    ("object.keys", "v"),
    ("object.remove", "vv"),
    ("object.union", "vv"),
    ("object.union_n", "v"),
    ("json.is_valid", "v"),
    ("json.marshal", "v"),
    ("json.unmarshal", "v"),
    ("is_array", "v"),
    ("is_boolean", "v"),
    ("is_null", "v"),
    ("is_number", "v"),
    ("is_object", "v"),
    ("is_set", "v"),
    ("is_string", "v"),
    ("type_name", "v"),
    ("to_number", "v"),
    ("base64.decode", "v"),
    ("base64.encode", "v"),
    ("base64.is_valid", "v"),
    ("base64url.decode", "v"),
    ("base64url.encode", "v"),
    ("base64url.encode_no_pad", "v"),
    ("hex.decode", "v"),
    ("hex.encode", "v"),
    ("semver.compare", "vv"),
    ("semver.is_valid", "v"),
    ("bits.and", "vv"),
    ("bits.negate", "v"),
    ("bits.or", "vv"),
    ("bits.rsh", "vv"),
    ("bits.xor", "vv"),
];

/// Formats of `sprintf`, each in a rule of its own.
const FORMATS: [&str; 10] = ["%d", "%5d|%05d", "%.3f", "%v", "%s%%", "%q", "%c", "%x %99X", "%b", "é"];

/// Values for `w`, as JSON.
const FEW: [&str; 13] = [
    "null",
    "-1",
    "0",
    "3",
    "4294967297",
    "1.5",
    r#""""#,
    r#""é""#,
    r#""日本/a.b""#,
    "[]",
    r#"["a", 1]"#,
    "{}",
    r#"{"a": {"b": []}}"#,
];

/// More values for `v`, as JSON.
const MORE: [&str; 32] = [
    "true",
    "false",
    "2",
    "16",
    "-0.5",
    "255",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e300",
    "-1e-300",
    r#""a""#,
    r#""ab""#,
    r#""1.2.3-a+b""#,
    r#""-1e5""#,
    r#""1e999""#,
    r#""\u0000\u001b\u202e""#,
    r#""%s{[(*\\""#,
    r#""YWI=""#,
    r#""6162f""#,
    r#""{\"a\": [1]}""#,
    r#""[[[[""#,
    r#"" a ""#,
    r#"[""]"#,
    r#"["a", "b"]"#,
    "[[], [[]]]",
    "[[1, 2], [3]]",
    r#"[{"a": 1}, {"a": {"b": 2}}]"#,
    r#"{"a": 1}"#,
    r#"{"": [], "a": ["b"]}"#,
    "[0.1, -3, 7]",
];

/// The lists of the data for the letters of arguments with a required form.
const CONSTANTS: [(char, &[&str]); 7] = [
    (
        'c',
        &[
            "null",
            "1",
            r#""""#,
            r#""a""#,
            r#""(a|é)*?""#,
            r#""a(b)?c|[^/]+""#,
            r#""[""#,
            r#""$1${a}\\\\""#,
            r#""1Ki""#,
            r#""1.5e3Q""#,
            r#""\"-.5M\"""#,
            "[]",
            r#"["a", ""]"#,
            r#"{"a": "b", "": "c"}"#,
        ],
    ),
    (
        'r',
        &[
            "null",
            r#""""#,
            r#""a""#,
            r#""(a|é)*?""#,
            r#""a(b)?c|[^/]+""#,
            r#""(?P<a>[[:alpha:]])(?s:.)""#,
            r#""^$|[^b]{2,5}""#,
        ],
    ),
    ('t', &[r#""a""#, r#""é""#, r#""日本日本日本日本""#]),
    ('g', &[r#""""#, r#""*""#, r#""**""#, r#""*.é*""#, r#""{a,{b,é*}}""#, r#""\\[""#, r#""日本:*""#, "null"]),
    ('d', &["null", "[]", r#"["."]"#, r#"["/", "-", "."]"#, r#"["_"]"#, "[1]", r#"".""#]),
    ('p', &["[]", r#"["a", "a/b", ["a", "b", 0]]"#, r#"[""]"#, "[[]]", "[null]", r#""a""#]),
    ('a', &["null", "1", r#""a""#, r#"["a"]"#, "{}", r#"{"a": {"b": ["c"]}}"#, r#"{"a": 1}"#]),
];

/// Sets in the data: the key `set` holds the elements of a set, the key `sets` those of a set of sets.
const SETS: [&str; 6] = [
    r#"{"set": []}"#,
    r#"{"set": [1, "a", null]}"#,
    r#"{"set": ["a", "b"]}"#,
    r#"{"sets": []}"#,
    r#"{"sets": [[], ["a"]]}"#,
    r#"{"sets": [["a", 1], ["a"]]}"#,
];

/// Returns the number of values for a letter.
pub(crate) fn values(letter: char) -> usize {
    match letter {
        'v' => FEW.len() + MORE.len() + SETS.len(),
        'w' => FEW.len(),
        'f' => FORMATS.len(),
        _ => CONSTANTS.iter().find(|(other, _)| *other == letter).map_or(0, |(_, values)| values.len()),
    }
}

/// The data of the policies.
pub(crate) fn data() -> String {
    let valued = |value: &&str| format!("{{\"value\": {value}}}");
    let few: Vec<String> = FEW.iter().map(valued).collect();
    let sets = SETS.iter().map(|set| (*set).to_owned());
    let all: Vec<String> = few.iter().cloned().chain(MORE.iter().map(valued)).chain(sets).collect();
    let mut lists = vec![format!("\"v\": [{}]", all.join(", ")), format!("\"w\": [{}]", few.join(", "))];
    lists.extend(CONSTANTS.iter().map(|(letter, values)| format!("\"{letter}\": [{}]", values.join(", "))));
    format!("{{{}}}", lists.join(", "))
}

/// Returns a request with these headers, and no other property that the policies read.
pub(crate) fn request<'a>(headers: &'a [(&'a str, &'a [u8])]) -> Input<'a> {
    Input {
        method: "GET",
        scheme: "https",
        host: "a.example",
        principal: Some("a.example"),
        path: Some("/"),
        decoded_path: Some(b"/"),
        query: None,
        headers,
    }
}

/// The query of the policy.
pub(crate) const QUERY: &str = "data.builtins.answer";

/// Returns a policy that never allows. The header `x-builtin` names the builtin to call. `x-first` and `x-second` choose
/// all arguments except the last, which takes every value in turn. The reason of the denial is the number of calls with a
/// value.
pub(crate) fn policy() -> String {
    let mut text = String::from(
        r#"package builtins

import input.attributes.request.http.headers as headers

default answer := {"allowed": false, "reason": "nothing was called"}

first := to_number(headers["x-first"])

second := to_number(headers["x-second"])

make(x) := x.value

make(x) := {y | some y in x.set} if x.set

make(x) := {{z | some z in y} | some y in x.sets} if x.sets
"#,
    );
    for (name, letters) in BUILTINS {
        let letters: Vec<char> = letters.chars().collect();
        let (last, before) = letters.split_last().expect("an argument");
        let argument = |letter: char, value: String| match letter {
            'v' | 'w' => format!("make({value})"),
            _ => value,
        };
        let chosen: Vec<String> = before
            .iter()
            .zip(["first", "second"])
            .map(|(letter, index)| argument(*letter, format!("data.{letter}[{index}]")))
            .collect();
        let formats = if before == ['f'] { &FORMATS[..] } else { &[""] };
        for (number, format) in formats.iter().enumerate() {
            let (chosen, condition, value) = if before == ['f'] {
                // An array as long as the format has verbs.
                let verbs = format.replace("%%", "").matches('%').count();
                let values = vec![argument(*last, "value".to_owned()); verbs].join(", ");
                (vec![format!("\"{format}\"")], format!("; first == {number}"), format!("[{values}]"))
            } else {
                (chosen.clone(), String::new(), argument(*last, "value".to_owned()))
            };
            let arguments = chosen.into_iter().chain([value]).collect::<Vec<_>>().join(", ");
            writeln!(
                text,
                "\nanswer := {{\"allowed\": false, \"reason\": sprintf(\"%d\", [calls])}} if {{\n\
                 \theaders[\"x-builtin\"] == \"{name}\"{condition}\n\
                 \tcalls := count([1 | some value in data.{last}; called := {name}({arguments}); called != \"?\"])\n}}"
            )
            .expect("a text can be written");
        }
    }
    text
}

/// Returns every choice of the first arguments of a builtin.
pub(crate) fn choices(letters: &str) -> Vec<(usize, usize)> {
    let mut before: Vec<usize> = letters.chars().map(values).collect();
    before.pop();
    let count = |position: usize| before.get(position).copied().unwrap_or(1);
    (0..count(0)).flat_map(|first| (0..count(1)).map(move |second| (first, second))).collect()
}

/// Returns a policy that never allows, for a fuzzer. It calls the builtin that the header `x-builtin` names, with the
/// arguments in the JSON list of the header `x-arguments`.
pub(crate) fn policy_of_arguments() -> String {
    let mut text = String::from(
        r#"package builtins

import input.attributes.request.http.headers as headers

default answer := {"allowed": false}

make(x) := x if not is_object(x)

make(x) := x if { is_object(x); not x.set }

make(x) := {y | some y in x.set} if { is_object(x); x.set }
"#,
    );
    for (name, letters) in BUILTINS {
        let argument = |(position, letter): (usize, char)| match letter {
            'v' | 'w' => format!("make(arguments[{position}])"),
            'f' => "\"%s\"".to_owned(),
            letter => format!("data.{letter}[arguments[{position}]]"),
        };
        let arguments = letters.chars().enumerate().map(argument).collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "\nanswer := {{\"allowed\": false, \"reason\": \"a value\"}} if {{\n\
             \theaders[\"x-builtin\"] == \"{name}\"\n\
             \targuments := json.unmarshal(headers[\"x-arguments\"])\n\
             \tcalled := {name}({arguments})\n\
             \tcalled != \"?\"\n}}"
        )
        .expect("a text can be written");
    }
    text
}
