//! From a document to a policy.

use crate::fault::{At, Collector, Faults};
use crate::policy::Policy;

/// Compiles the text of a policy document, YAML or JSON.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile(source: &str) -> Result<Policy, Faults> {
    let mut faults = Collector::default();
    faults.report(0..0, &At::Root, "documents are not read yet", None);
    faults.finish(source, Policy::deny_all())
}
