//! The command `weir`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use weir::command::exit_code::ExitCode as Outcome;
use weir::command::{ca, check, completions, doctor, explain, redirect, run, test};
use weir::output::report::visible;
use weir::output::stream;
use weir::process::parent_death;

/// An egress gateway built on Envoy: workloads reach only the hosts, methods and paths that a policy allows
#[derive(Debug, Parser)]
#[command(version)]
struct Weir {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one value, and it lives as long as the process")]
enum Command {
    /// Run a local Envoy that enforces a policy, with a command behind it if one is given
    Run(run::Arguments),
    /// Report every fault of a policy at once
    Check(check::Arguments),
    /// Show the decision on a request, and the reason
    Explain(explain::Arguments),
    /// Report problems of a policy on this machine with this Envoy
    Doctor(doctor::Arguments),
    /// Show, export or replace the CA that clients behind Weir trust
    Ca(ca::Arguments),
    /// Print rules that make Weir a workload's only way out
    Redirect(redirect::Arguments),
    /// Run the decision cases beside policies
    Test(test::Arguments),
    /// Print a script that completes weir's commands and options in a shell
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    parent_death::run_if_asked();
    let weir = match Weir::try_parse() {
        Ok(weir) => weir,
        Err(error) => {
            // The stream may be closed. There is no other place for the message.
            let _ = error.print();
            return if error.use_stderr() { Outcome::Invalid } else { Outcome::Ok }.into();
        }
    };
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var("WEIR_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stream::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    // The default hook waits for stderr.
    std::panic::set_hook(Box::new(|panic| {
        stream::stderr().write(format!("weir: a fault of weir's own: {panic}\n"));
        stream::finish();
    }));
    let outcome = match weir.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Ca(arguments) => ca::run(&arguments),
        Command::Redirect(arguments) => redirect::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Weir::command()),
    };
    let code = outcome.unwrap_or_else(|error| {
        let said = format!("{error:#}");
        let lines: Vec<String> = said.lines().map(visible).collect();
        stream::stderr().write(format!("weir: {}\n", lines.join("\n")));
        Outcome::Failure
    });
    stream::finish();
    code.into()
}
