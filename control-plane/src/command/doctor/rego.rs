//! The Rego policy: whether it is usable, which engine evaluates it, and whether this Envoy can serve its hosts.

use weir_policy::Policy;

use super::finding::Finding;
use crate::envoy::capabilities::LeafDelivery;
use crate::input::loaded_policy::{self, FaultyFile, LoadOutcome};
use crate::input::policy_text::PolicyText;

const ABOUT: &str = "Rego";

/// Examines the Rego policy that the document names, if it names one. `policy` is the compiled document.
pub(super) fn examine(
    document: &PolicyText,
    policy: &Policy,
    leaf_delivery: Option<LeafDelivery>,
) -> Vec<Finding> {
    if !policy.needs_rego() {
        return Vec::new();
    }
    let mut findings: Vec<_> = match LoadOutcome::for_evaluation(document).outcome {
        Ok(enforced) => {
            let said = |rego| Finding::ok(ABOUT, format!("checked; {}", loaded_policy::engine(rego)));
            enforced.rego.iter().map(said).collect()
        }
        Err(files) => files.iter().flat_map(problems).collect(),
    };
    // Without an allow rule, Weir knows hosts only from requests.
    if leaf_delivery == Some(LeafDelivery::InAdvance) && policy.hosts().next().is_none() {
        let what = "this Envoy has certificates for the hosts of allow rules only, and no rule allows any: https \
                    cannot be intercepted";
        findings.push(Finding::problem(ABOUT, what, "use 1.37 or newer, or list the hosts in an allow rule"));
    }
    findings
}

fn problems(FaultyFile { name, faults, .. }: &FaultyFile) -> impl Iterator<Item = Finding> {
    let found = faults.list.iter().map(move |fault| {
        let what = format!("{name}:{}:{}: {}", fault.line, fault.column, fault.message);
        let help = fault.help.clone().unwrap_or_else(|| "`weir check` shows the place".to_owned());
        Finding::problem(ABOUT, what, help)
    });
    let omitted = (faults.omitted > 0).then(|| {
        let what = format!("{name}: {} faults more", faults.omitted);
        Finding::problem(ABOUT, what, "mend the others first")
    });
    found.chain(omitted)
}
