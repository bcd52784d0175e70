//! End-to-end tests. They need what `cargo xtask test` sets up, and fail with a hint without it.

#[macro_use]
mod each_envoy;

mod address_guard;
mod certificates;
mod client_hellos;
mod command;
mod context_per_host;
mod control_plane;
mod demo;
mod dns;
mod doctor;
mod harness;
mod hostile_bytes;
mod idle;
mod invalid_requests;
mod leaks;
mod lifetime;
mod main_job;
mod many_hosts;
mod metrics;
mod modes;
mod negative_control;
mod own_upstream;
mod package_managers;
mod passthrough;
mod plain_http;
mod policy_change;
mod precedence;
mod programs;
mod protocols;
mod proxy_credentials;
mod quiet;
mod redirection;
mod refusals;
mod rego;
mod served_envoy;
mod smuggling;
mod start_errors;
mod streams;
mod tls_matrix;
mod transparent;
mod trap;
mod trapping_filter;
mod tunnels;
mod upstream_failures;
