//! xDS: what has been asked for, what is held, and what to send next.
//!
//! The protocol itself ([`delta`], [`state_of_the_world`]) is plain state: messages in, messages out, no sockets
//! and no clock. [`server`] moves the bytes.

pub mod delta;
pub mod host_contexts;
pub mod node_status;
mod resource_type;
pub mod server;
pub mod service;
pub mod source;
pub mod state_of_the_world;
pub mod stream;

pub use resource_type::ResourceType;
