//! The control plane: policies in, everything an Envoy needs out over one ADS stream.

pub mod command;
