//! End-to-end tests. They need what `cargo xtask test` sets up, and fail with a hint without it.

#[macro_use]
mod each_envoy;
mod harness;
mod negative_control;
