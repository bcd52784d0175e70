//! IP addresses: public addresses, this machine's own addresses, and the addresses that a run reserves.

pub mod own;
pub(crate) mod public;
pub(crate) mod reserved;
