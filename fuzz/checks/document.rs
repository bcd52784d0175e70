//! Any text is a policy whose bytes round-trip, or it has faults with places inside it. Decision cases are checked alike.

use weir_policy::{Faults, Policy};

fn within(text: &str, faults: &Faults) {
    assert!(!faults.list.is_empty());
    for fault in &faults.list {
        assert!(text.get(fault.span.clone()).is_some(), "{fault:?}");
        assert!(fault.line >= 1 && fault.column >= 1, "{fault:?}");
    }
}

/// Checks one input.
pub(crate) fn check(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match weir_policy::compile(text) {
        Ok(policy) => {
            let again = Policy::from_bytes(policy.as_bytes()).expect("what is compiled can be read");
            assert_eq!(again.version(), policy.version());
            assert_eq!(
                weir_policy::compile(text).map(|policy| policy.version()).ok(),
                Some(policy.version())
            );
        }
        Err(faults) => within(text, &faults),
    }
    match weir_policy::cases::parse(text) {
        Ok(cases) => {
            let nothing = Policy::deny_all();
            for case in cases {
                let _ = case.check(&nothing);
            }
        }
        Err(faults) => within(text, &faults),
    }
}
