//! IP addresses: which are public, which are this machine's own, and the one that a run holds.

pub mod own;
pub(crate) mod public;
pub(crate) mod reserved;
