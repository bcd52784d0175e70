//! Runs the checks of the fuzz targets on their seeds and on the examples.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/checks/decide.rs"]
mod decide;
#[path = "../../fuzz/checks/document.rs"]
mod document;
#[path = "../../fuzz/checks/host.rs"]
mod host;
#[path = "../../fuzz/checks/path.rs"]
mod path;
#[path = "../../fuzz/checks/policy_bytes.rs"]
mod policy_bytes;

type Check = fn(&[u8]);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn every_seed_holds() {
    let targets: [(&str, Check); 5] = [
        ("decide", decide::check),
        ("document", document::check),
        ("host", host::check),
        ("path", path::check),
        ("policy_bytes", policy_bytes::check),
    ];
    for (target, check) in targets {
        let seeds = files(&root().join("fuzz/seeds").join(target));
        assert!(!seeds.is_empty(), "{target}");
        for seed in seeds {
            check(&fs::read(seed).expect("a seed"));
        }
    }
}

#[test]
fn every_seed_of_policy_bytes_is_of_this_format() {
    for seed in files(&root().join("fuzz/seeds/policy_bytes")) {
        let bytes = fs::read(&seed).expect("a seed");
        let read = weir_policy::Policy::from_bytes(bytes);
        assert!(read.is_ok(), "{}: {:?}; compile the example of that name anew", seed.display(), read.err());
    }
}
