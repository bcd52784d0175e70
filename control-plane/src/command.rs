//! The commands of `weir`, one module each.

mod address_argument;
mod byte_size;
pub mod ca;
pub mod check;
pub mod completions;
pub mod doctor;
mod duration;
pub mod exit_code;
pub mod explain;
pub mod redirect;
pub mod run;
mod shared_arguments;
mod streams;
pub mod test;
