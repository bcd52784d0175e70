//! End-to-end tests. They need what `cargo xtask test` sets up, and fail with a hint without it.

#[macro_use]
mod each_envoy;

mod address_guard;
mod blocked_output;
#[allow(dead_code, reason = "the fuzz target uses the rest")]
#[path = "../../rego/tests/builtins/calls.rs"]
mod builtin_calls;
mod certificates;
mod client_hellos;
mod command;
mod connection_identity;
mod context_per_host;
mod control_plane;
mod decision_lines;
mod demo;
mod dns;
mod doctor;
mod envoy_releases;
mod harness;
mod hostile_bytes;
mod idle;
mod invalid_requests;
mod leaks;
mod lifetime;
mod main_job;
mod many_hosts;
mod memory;
mod metrics;
mod modes;
mod negative_control;
mod open_files;
mod overload;
mod own_addresses;
mod own_upstream;
mod package_managers;
mod parallel_runs;
mod passthrough;
mod plain_http;
mod policy_change;
mod precedence;
mod programs;
mod protocols;
mod proxy_credentials;
mod quiet;
mod reconnection;
mod redirection;
mod refusals;
mod rego;
mod retries;
mod runtime_folder;
mod served_envoy;
mod served_paths;
mod shells;
mod silent_names;
mod smuggling;
mod start_errors;
mod streams;
mod tls_breadth;
mod tls_matrix;
mod transparent;
mod trap;
mod trapping_filter;
mod tunnels;
mod upstream_failures;
mod watched_files;
