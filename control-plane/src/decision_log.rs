//! The decision log: what every Envoy decided, and what became of it.
//!
//! Envoy sends its access log over the same connection that the resources come over. The filter's record says what
//! was decided; Envoy adds what happened afterwards, such as an address that the guard refused.

mod account;
pub mod decision;
pub mod denial_flood;
pub mod hosts_in_use;
pub mod lines;
pub mod server;

pub use account::Arrived;
pub use decision::Decision;
pub use lines::{Line, Lines};
