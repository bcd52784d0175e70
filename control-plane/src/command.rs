//! The commands of `weir`, one module each.

mod byte_size;
pub mod ca;
pub mod check;
pub mod doctor;
mod duration;
pub mod explain;
pub mod redirect;
pub mod run;
mod streams;
pub mod test;
