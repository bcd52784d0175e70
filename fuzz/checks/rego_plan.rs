//! Any bytes are refused, or they are a plan that round-trips.

use weir_rego::Plan;

/// Checks one input.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(plan) = Plan::from_bytes(bytes) {
        let written = plan.to_bytes();
        assert_eq!(Plan::from_bytes(&written).as_ref(), Ok(&plan));
        for end in [written.len() / 2, written.len().saturating_sub(1)] {
            assert!(written.get(..end).is_some_and(|cut| Plan::from_bytes(cut).is_err()));
        }
    }
}
