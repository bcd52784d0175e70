//! The commands of `weir`, one module each.

pub mod check;
pub mod explain;
pub mod run;
pub mod test;
