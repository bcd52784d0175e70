//! Any text is a policy whose plan round-trips and answers, or it has faults with places inside it.

use weir_rego::{Bundle, Input, Module, Plan, Program, check as check_policy};

const DATA: &str = r#"{"hosts": ["a.example"], "list": ["a", 1], "map": {"a": "b"}}"#;

/// Checks one input.
pub(crate) fn check(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let modules = vec![Module { name: "policy.rego".to_owned(), text: text.to_owned() }];
    let bundle = Bundle { modules, data: DATA.to_owned(), query: weir_rego::DEFAULT_QUERY.to_owned() };
    match check_policy(&bundle) {
        Ok(checked) => {
            let bytes = checked.plan.to_bytes();
            assert_eq!(Plan::from_bytes(&bytes).as_ref(), Ok(&checked.plan));
            let program = Program::load(&checked.plan).expect("a checked policy loads");
            let request = Input {
                method: "GET",
                scheme: "https",
                host: "a.example",
                principal: Some("a.example"),
                path: Some("/a"),
                decoded_path: Some(b"/a"),
                query: None,
                headers: &[("a", b"b")],
            };
            let _ = program.evaluate(&request);
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= weir_rego::limits::FAULTS, "{faults:?}");
            for place in faults.iter().filter_map(|fault| fault.place.as_ref()) {
                assert!(place.module == 0 && text.get(place.span.clone()).is_some(), "{place:?}");
                assert!(place.line >= 1 && place.column >= 1, "{place:?}");
            }
        }
    }
}
