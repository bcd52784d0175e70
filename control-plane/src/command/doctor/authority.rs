//! Weir's own CA: whether it can be used, and how long.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::finding::Finding;
use crate::ca::authority::Authority;
use crate::ca::validity::date;
use crate::ca::{Ca, Lifetimes};
use crate::state_folder::StateFolder;

/// A root that ends sooner ought to be replaced: clients need time to trust another one.
const SOON: Duration = Duration::from_hours(24 * 60);
const ABOUT: &str = "Weir's CA";

pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    pub(super) authority: Option<Arc<Authority>>,
}

/// Looks at the CA where there is one; makes none.
pub(super) fn examine(state: Option<&Path>, now: SystemTime) -> Examined {
    let open = || -> anyhow::Result<Option<Arc<Authority>>> {
        let path = StateFolder::locate(state, |name| std::env::var_os(name))?;
        if !path.join("root.key").exists() {
            return Ok(None);
        }
        Ok(Some(Ca::open(&StateFolder::open(&path)?, Lifetimes::default(), now)?.authority()))
    };
    let (finding, authority) = match open() {
        Ok(None) => (Finding::ok(ABOUT, "there is none yet; the first run makes it"), None),
        Ok(Some(authority)) => {
            let validity = authority.certificate().validity();
            let until = date(validity.not_after);
            let finding = if validity.left(now) < SOON {
                let help = "replace it with `weir ca rotate`, which keeps the old one trusted for a while";
                Finding::warning(ABOUT, format!("it ends on {until}"), help)
            } else {
                Finding::ok(ABOUT, format!("it is valid until {until}"))
            };
            (finding, Some(authority))
        }
        Err(error) => {
            let said = format!("{error:#}");
            let (what, help) = said.split_once("\nhelp: ").unwrap_or((&said, "see `weir ca show`"));
            (Finding::problem(ABOUT, what, help), None)
        }
    };
    Examined { findings: vec![finding], authority }
}
