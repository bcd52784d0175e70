//! Weir's own CA: whether it is usable, and until when it is valid.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::finding::Finding;
use crate::ca::signing_ca::SigningCa;
use crate::ca::validity::date;
use crate::ca::{Ca, CaError, Lifetimes};
use crate::folder::state::StateFolder;
use crate::output::advice::Advice;

/// The remaining life below which a root should be replaced: clients need time to trust another one.
const SOON: Duration = Duration::from_hours(24 * 60);
const ABOUT: &str = "Weir's CA";

/// The findings about the CA, and the CA that signs leaves if there is one.
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    pub(super) signing_ca: Option<Arc<SigningCa>>,
}

/// Examines the CA if there is one. It does not make one.
pub(super) fn examine(state: Option<&Path>, now: SystemTime) -> Examined {
    let open = || -> Result<Option<Arc<SigningCa>>, CaError> {
        let path = StateFolder::locate(state, |name| std::env::var_os(name))?;
        if !path.join("root.key").exists() {
            return Ok(None);
        }
        Ok(Some(Ca::open(&StateFolder::open(&path)?, Lifetimes::default(), now)?.signing_ca()))
    };
    let (finding, signing_ca) = match open() {
        Ok(None) => (Finding::ok(ABOUT, "there is none yet; the first run makes it"), None),
        Ok(Some(signing_ca)) => {
            let validity = signing_ca.certificate().validity();
            let until = date(validity.not_after);
            let finding = if validity.left(now) < SOON {
                let help = "replace it with `weir ca rotate`, which keeps the old one trusted for a while";
                Finding::warning(ABOUT, format!("it ends on {until}"), help)
            } else {
                Finding::ok(ABOUT, format!("it is valid until {until}"))
            };
            (finding, Some(signing_ca))
        }
        Err(error) => {
            let help = error.help().unwrap_or_else(|| "see `weir ca show`".to_owned());
            (Finding::problem(ABOUT, error.message(), help), None)
        }
    };
    Examined { findings: vec![finding], signing_ca }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::command::doctor::finding::Severity;

    #[test]
    fn the_end_of_weirs_ca_is_told_before_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let now = SystemTime::now();
        let said = |now: SystemTime| {
            let Examined { findings, signing_ca } = examine(Some(&state), now);
            let [finding] = &findings[..] else { panic!("{findings:?}") };
            (finding.severity, finding.what.clone(), signing_ca.is_some())
        };
        assert_eq!(said(now), (Severity::Ok, "there is none yet; the first run makes it".to_owned(), false));
        let ca = Ca::open(&StateFolder::open(&state).unwrap(), Lifetimes::default(), now).unwrap();
        let end = ca.signing_ca().certificate().validity().not_after;
        let (severity, what, _) = said(now);
        assert_eq!((severity, what.starts_with("it is valid until")), (Severity::Ok, true), "{what}");
        let (severity, what, known) = said(end - SOON + Duration::from_secs(1));
        assert_eq!(
            (severity, what.starts_with("it ends on"), known),
            (Severity::Warning, true, true),
            "{what}"
        );

        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(said(now).0, Severity::Problem, "others may read its key");
    }
}
