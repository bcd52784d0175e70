//! The xDS protocols as plain state: requests and changes in, responses out. No socket, no clock, no logging.
//!
//! ```text
//!                    ServedNode (what one node is served: snapshots, above this crate)
//!                        │
//! request ─▶ Session ─▶ StreamState (delta or state of the world) ─▶ responses
//!                │            │
//!          StreamStatus     Source (snapshot and secrets)
//! ```
//! The crate knows resources by type, name and encoded content alone. Listeners, certificates, policies and decisions
//! are the business of the crate above.

mod delta;
mod resource;
mod resource_type;
mod secrets;
mod session;
mod snapshot;
mod source;
mod state_of_the_world;
mod stream;
mod stream_status;
mod wire_request;

pub use delta::DeltaStream;
pub use resource::Resource;
pub use resource_type::ResourceType;
pub use secrets::{RenewedSecret, Secrets};
pub use session::{Event, Output, ServedNode, Session};
pub use snapshot::{InconsistentSnapshot, References, Snapshot};
pub use source::Source;
pub use state_of_the_world::StateOfTheWorldStream;
pub use stream::{RequestOutcome, StreamState};
pub use stream_status::{Acknowledgement, StreamStatus};
pub use wire_request::decode_delta_request;
