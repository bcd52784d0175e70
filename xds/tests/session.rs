//! The check of the fuzz target `xds_session`, on its seeds and on scripts that a generator makes up.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../../fuzz/checks/xds_session.rs"]
mod xds_session;

#[test]
fn every_seed_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/xds_session");
    let mut checked = 0;
    for seed in fs::read_dir(&seeds).expect("the folder of seeds") {
        xds_session::check(&fs::read(seed.expect("an entry").path()).expect("a seed"));
        checked += 1;
    }
    assert!(checked > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_node_and_its_session_agree_after_any_script(script in prop::collection::vec(any::<u8>(), 0..60)) {
        xds_session::check(&script);
    }
}
