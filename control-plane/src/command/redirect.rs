//! `weir redirect nft`: the rules that leave a workload no other way out than Weir, on stdout.

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
    /// It is loaded inside of the namespace by its administrator: `weir redirect nft … | nft -f -`. Loading it again
    /// replaces it.
    Nft(NftArguments),
}

#[derive(Debug, Args)]
struct NftArguments {
    /// The user that Weir and its Envoy run as, and nobody else: what it sends is left alone
    #[arg(long, value_name = "UID", required_unless_present = "cgroup")]
    uid: Option<u32>,
    /// The control group (version 2) that Weir and its Envoy run in; needs Linux 5.13
    #[arg(long, value_name = "PATH")]
    cgroup: Option<Cgroup>,
    /// The port of the transparent listener (`weir run --transparent`), on 127.0.0.1 and ::1
    #[arg(long, default_value = "15002", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The TCP ports to redirect, whatever the address
    #[arg(long, value_name = "PORT,…", default_value = "80,443", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// A name server that may be asked (`ADDR` or `ADDR:PORT`); may be given more than once [default: none]
    #[arg(long, value_name = "ADDR")]
    dns: Vec<Resolver>,
}

/// Prints the rules.
///
/// # Errors
/// When stdout does not take them.
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
