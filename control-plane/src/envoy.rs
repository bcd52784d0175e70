//! The bootstrap, the filter and the resources for Envoy, in the form that its version and capacity allow.

pub mod bootstrap;
pub mod capabilities;
pub mod capacity;
pub mod filter_module;
pub mod gateway;
pub mod resources;
pub mod version;
