//! Runs the checks of Rego's fuzz targets on their seeds.

use std::fs;
use std::path::{Path, PathBuf};

use weir_rego::Plan;

#[path = "../../fuzz/checks/rego_builtins.rs"]
mod rego_builtins;
#[path = "../../fuzz/checks/rego_input.rs"]
mod rego_input;
#[path = "../../fuzz/checks/rego_plan.rs"]
mod rego_plan;
#[path = "../../fuzz/checks/rego_policy.rs"]
mod rego_policy;

type Check = fn(&[u8]);

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn every_seed_holds() {
    let targets: [(&str, Check); 4] = [
        ("rego_builtins", rego_builtins::check),
        ("rego_input", rego_input::check),
        ("rego_plan", rego_plan::check),
        ("rego_policy", rego_policy::check),
    ];
    for (target, check) in targets {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target}");
        for seed in seeds {
            check(&fs::read(seed).expect("a seed"));
        }
    }
}

#[test]
fn every_seed_of_rego_plan_is_of_this_format() {
    for seed in seeds("rego_plan") {
        let bytes = fs::read(&seed).expect("a seed");
        assert!(Plan::from_bytes(&bytes).is_ok(), "{}: make the plan anew", seed.display());
    }
}
