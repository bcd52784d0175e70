//! A part of the TLS matrix. `cargo xtask test --matrix` runs all of it.

use anyhow::Result;
use e2e::{Cell, Strategy, TlsVersions};

const SLICE: Cell = Cell {
    version: "1.39.3",
    strategy: Strategy::ContextPerHost,
    tls: TlsVersions::Only13,
    http2: false,
    reversed: false,
};

#[test]
fn fifty_hosts_have_a_context_each() -> Result<()> {
    SLICE.run()?;
    Cell { version: "1.36.4", tls: TlsVersions::Only12, reversed: true, ..SLICE }.run().map(drop)
}

#[test]
fn fifty_hosts_share_a_context_without_sessions() -> Result<()> {
    Cell { strategy: Strategy::NoSessions, http2: true, ..SLICE }.run().map(drop)
}

#[test]
fn since_1_40_fifty_hosts_share_a_context_with_sessions() -> Result<()> {
    let newest = Cell { version: "1.40.0", strategy: Strategy::SniScopedSessions, http2: true, ..SLICE };
    newest.run()?;
    Cell { tls: TlsVersions::Only12, reversed: true, ..newest }.run().map(drop)
}
