//! Every example policy decides its cases as they say.
#![cfg(feature = "compile")]

use std::path::Path;

#[test]
fn every_example_decides_as_its_cases_say() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut policies = 0;
    for folder in std::fs::read_dir(&examples).expect("the examples are there") {
        let folder = folder.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
        let compiled = weir_policy::compile_document(&read("policy.yaml"));
        let weir_policy::Compiled { policy, rego, warnings } =
            compiled.unwrap_or_else(|faults| panic!("{folder:?}\n{faults}"));
        assert_eq!(warnings, [], "{folder:?}");
        if rego.is_some() {
            // `weir test` decides these, with their Rego policy.
            continue;
        }
        let cases = weir_policy::cases::parse(&read("decisions.yaml"));
        let cases = cases.unwrap_or_else(|faults| panic!("{folder:?}\n{faults}"));
        assert!(!cases.is_empty(), "{folder:?} has no cases");
        for case in cases {
            if let Err(mismatch) = case.check(&policy) {
                panic!("{}:{}: {} {}: {mismatch}", folder.display(), case.line, case.method, case.url);
            }
        }
        policies += 1;
    }
    assert!(policies > 0, "no examples found");
}
