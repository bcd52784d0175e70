//! End-to-end harness: real Envoys, a real nginx, a real curl, and a name server, all on loopback.
//!
//! The kernel chooses free ports, every wait has a deadline, and dropping a value ends the child that it holds.

mod burst;
mod certificate;
mod client;
mod control_group;
mod deadline;
mod dialler;
mod dns;
mod envoy;
mod flood;
mod hosts;
mod http2;
mod lines;
mod logged_decision;
mod many_streams;
mod namespace;
mod nginx;
mod one_answer;
mod openssl_server;
mod origin;
mod path_server;
mod process;
mod running_gateway;
mod static_envoy;
mod tls_matrix;
mod tls_relay;
mod wire;
mod wrapper;

pub use burst::{Burst, Then};
pub use certificate::{CertificateAuthority, ServerCertificate, bundle};
pub use client::{Client, HttpVersion, Request, Response};
pub use control_group::ControlGroup;
pub use deadline::Deadline;
pub use dialler::{Dialled, Dialler};
pub use dns::{Fault, NameServer};
pub use envoy::{EnvoyBinary, VERSIONS};
pub use flood::Flood;
pub use hosts::{ALPHA, BETA, IMPOSTOR, INWARD, UNLISTED, UpstreamHosts};
pub use http2::Http2;
pub use lines::Lines;
pub use logged_decision::LoggedDecision;
pub use many_streams::ManyStreams;
pub use namespace::{Network, OUTSIDE, Reached, Transport, as_user, echo, exchange, try_echo};
pub use nginx::{Nginx, ServedRequest, ServerOptions, Site, TlsVersions};
pub use one_answer::{answer_once, answer_yes};
pub use openssl_server::{OpensslAuthority, OpensslServer};
pub use origin::{Front, ORIGIN, Origin};
pub use path_server::PathServer;
pub use process::{Process, ProcessId, find_program, require_program};
pub use running_gateway::{Run, RunningGateway, SEARCH_DOMAIN, exports, weir_command};
pub use static_envoy::{Forwarded, STATIC_SNI, StaticEnvoy};
pub use tls_matrix::{CONTROL_VERSIONS, Cell, Outcome, Strategy, control};
pub use tls_relay::TlsRelay;
pub use wire::{Head, Wire};
pub use wrapper::{on_terminal, wrapped};
