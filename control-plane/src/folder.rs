//! Folders that Weir keeps: one for each run, one for the CA between runs, and the check that no other user can change them.

pub(crate) mod runtime;
pub mod state;
pub(crate) mod trusted;
