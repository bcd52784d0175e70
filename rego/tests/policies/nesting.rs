//! Limits on the nesting of expressions.

use weir_rego::{check, limits};

use super::{bundle, checked};

#[test]
fn deep_nesting_is_refused_before_parsing() {
    let chain = |link: &str, count: usize| format!("\n{link}").repeat(count);
    for depth in [limits::EXPRESSION_DEPTH + 1, 9_000] {
        for text in [
            format!("allow if 0{} == 1", chain("+ 1", depth)),
            format!("allow if input{} == 1", chain(".a", depth)),
            format!("allow if input{} == 1", chain("[0]", depth)),
            format!("allow if 1{}", chain("in [1]", depth)),
            format!("allow if 1{}", " in\n[1]".repeat(depth)),
            format!("allow if 0{} 1", " +\n1".repeat(depth)),
            format!("allow if {}1{} == 1", chain("[", depth), chain("]", depth)),
            format!("allow if {}1{} == 1", chain("(", depth), chain(")", depth)),
            format!("allow if {}1 == 1", chain("-", depth)),
            format!("allow if {}1{}", chain("count({x | x := ", depth), chain("})", depth)),
            format!("allow if input{} == 1", chain(".if", depth)),
            // A fault at the end of the chain.
            format!("allow if 0{} +", chain("+ 1", depth)),
        ] {
            let faults =
                check(&bundle(&format!("package p\n{text}"), "{}", "data.p.allow")).expect_err("deep");
            assert!(faults[0].message.contains("lie in one another"), "{depth}: {faults:?}");
        }
    }
}

/// Without the limit, the parser would take an hour.
#[test]
fn brackets_that_are_read_again_and_again_are_refused() {
    for depth in [limits::COLLECTION_DEPTH, 30] {
        for text in [
            format!("allow if {{ x := {} }}", "{".repeat(depth)),
            format!("allow if {{ x := {}1{} }}", "[".repeat(depth), "]".repeat(depth)),
            format!("allow if {{ x := {}1{} }}", "{\"a\": [".repeat(depth), "]}".repeat(depth)),
        ] {
            let faults =
                check(&bundle(&format!("package p\n{text}"), "{}", "data.p.allow")).expect_err("deep");
            assert!(faults[0].message.contains("brackets lie in one another"), "{depth}: {faults:?}");
        }
    }
    let most = limits::COLLECTION_DEPTH - 1;
    let text = format!("allow if {{ x := {}1{}; x != 1 }}", "[".repeat(most), "]".repeat(most));
    checked(&text, "{}");
}

#[test]
fn a_long_policy_is_not_deep() {
    let hosts: Vec<String> = (0..2_000).map(|number| format!("\"h{number}.example\"")).collect();
    let lines = (0..300).map(|number| format!("\tinput.attributes.request.http.host != \"h{number}\"\n"));
    let rules = (0..300).map(|number| format!("allow if input.parsed_path[0] == \"p{number}\"\n"));
    let branches =
        (0..200).map(|number| format!(" else := {number} if {{\n\tinput.parsed_path[0] == \"{number}\"\n}}"));
    let text = format!(
        "rank := 0 if {{ false }}{}\nhosts := {{{}}}\npairs := [{}]\nallow if {{\n{}}}\n{}",
        branches.collect::<String>(),
        hosts.join(",\n"),
        hosts.iter().map(|host| format!("{{\"host\": {host}}}")).collect::<Vec<_>>().join(",\n"),
        lines.collect::<String>(),
        rules.collect::<String>(),
    );
    checked(&text, "{}");
}
