//! The control plane: policies in, everything an Envoy needs out over one ADS stream.

pub mod command;
pub mod ca;
pub mod shell;
pub mod state_folder;
