//! The operator's inputs: the policy with every file that it names, certificates and proxy credentials.
//!
//! ```text
//! PolicyText ─▶ LoadedPolicy ─▶ the policy, its Rego, UpstreamFiles
//! ```

pub(crate) mod certificate_file;
pub(crate) mod loaded_policy;
pub(crate) mod policy_text;
pub(crate) mod proxy_credentials;
pub(crate) mod regular_file;
pub mod upstream_files;
