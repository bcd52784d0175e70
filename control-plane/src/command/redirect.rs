//! `weir redirect nft`: prints rules that make Weir a workload's only way out.

mod ruleset;

use std::collections::BTreeSet;
use std::io::Write;

use clap::{Args, Subcommand};

use crate::command::exit_code::ExitCode;
use crate::command::redirect::ruleset::{Cgroup, Resolver, Ruleset};
use crate::command::streams;

/// The arguments of `weir redirect`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// Print an nftables ruleset for the network namespace of a workload (a pod's, a container's)
    ///
    /// The namespace's administrator loads the ruleset inside the namespace: `weir redirect nft … | nft -f -`. A second
    /// load replaces it.
    Nft(NftArguments),
}

#[derive(Debug, Args)]
struct NftArguments {
    /// The user that runs Weir and its Envoy, and nothing else; the rules exempt its traffic
    #[arg(long, value_name = "UID", required_unless_present = "cgroup")]
    uid: Option<u32>,
    /// The control group (version 2) of Weir and its Envoy; needs Linux 5.13
    #[arg(long, value_name = "PATH")]
    cgroup: Option<Cgroup>,
    /// The port of the transparent listener (`weir run --transparent`), on 127.0.0.1 and ::1
    #[arg(long, default_value = "15002", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The TCP ports to redirect, for all addresses
    #[arg(long, value_name = "PORT,…", default_value = "80,443", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// A name server that the workload may query (`ADDR` or `ADDR:PORT`); may be repeated [default: none]
    #[arg(long, value_name = "ADDR")]
    dns: Vec<Resolver>,
}

/// Prints the rules.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Form::Nft(NftArguments { uid, cgroup, port, ports, dns }) = &arguments.form;
    let ruleset = Ruleset {
        uid: *uid,
        cgroup: cgroup.clone(),
        port: *port,
        ports: ports.iter().copied().collect::<BTreeSet<_>>(),
        resolvers: dns.clone(),
    };
    let mut out = streams::stdout();
    write!(out, "{ruleset}")?;
    out.flush()?;
    Ok(ExitCode::Ok)
}
