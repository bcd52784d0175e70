//! The folders of Weir: one for each run, one that keeps the CA between runs, and the check that no other user can
//! change them.

pub(crate) mod runtime;
pub mod state;
pub(crate) mod trusted;
