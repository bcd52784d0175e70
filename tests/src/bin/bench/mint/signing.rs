//! Leaves signed per second on one core.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use weir::ca::{Ca, Lifetimes};
use weir::folder::state::StateFolder;
use weir_policy::Host;

/// The duration of each measurement.
const FOR: Duration = Duration::from_secs(3);

pub(super) fn measure() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let state = StateFolder::open(&folder.path().join("state"))?;
    let now = SystemTime::now();
    let ca = Ca::open(&state, Lifetimes::default(), now)?;
    let names: Vec<Host> = (0..1_000)
        .map(|number| Host::parse(format!("n{number}.weir.test").as_bytes()))
        .collect::<Result<_, _>>()?;
    let mut names = names.iter().cycle();
    let leaves = per_second(|| {
        let name = names.next().expect("it never ends");
        ca.mint(name, now).map(drop).expect("a leaf");
    });
    let keys = per_second(|| drop(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")));
    println!("| on one core | a second |\n|---|---|");
    println!("| leaves, each with a key of its own | {leaves:.0} |\n| keys alone | {keys:.0} |");
    Ok(())
}

fn per_second(mut work: impl FnMut()) -> f64 {
    let (started, mut count) = (Instant::now(), 0.0);
    while started.elapsed() < FOR {
        for _ in 0..100 {
            work();
        }
        count += 100.0;
    }
    count / started.elapsed().as_secs_f64()
}
