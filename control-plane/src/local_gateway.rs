//! The local gateway of `weir run`: its addresses, its files, and its readiness.

pub(crate) mod certificates;
pub(crate) mod credentials_file;
pub mod environment;
pub mod envoy;
pub(crate) mod error;
pub(crate) mod listening;
pub(crate) mod policy_announcement;
pub(crate) mod policy_file;
pub(crate) mod readiness;
pub(crate) mod refusals;
pub(crate) mod settings;
pub(crate) mod upstream_roots;
pub(crate) mod watched_files;
