//! `cargo xtask`: the one command for set-up, build, tests and the demo.
//!
//! It trusts the checkout that it was compiled from, `rustc`, Python's pip and, on Debian, apt. It writes to the
//! checkout and the target directory. Outside of them it changes only the active toolchain's wasm target and system
//! packages, and reports that it does.

mod bench;
mod checkout;
mod demo;
mod fuzz;
mod lint;
mod programs;
mod setup;
mod step;
mod test;
mod wasm;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Sets up, builds, tests and shows Weir")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or install what the build, the tests and the demo need; does nothing the second time
    Setup,
    /// Build the filter to `<target directory>/wasm/weir_filter.wasm`
    Wasm,
    /// Check the formatting, and clippy without a warning
    Lint,
    /// Set up, build, and run every test
    Test(TestArguments),
    /// Set up, build in release, and measure
    Bench {
        /// What to measure
        name: bench::Bench,
        /// Passed on to the bench
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Install the programs that people run behind Weir, run each, and write the tables of the documentation
    Programs {
        /// Run only the programs whose names contain one of these words, and print their tables
        words: Vec<String>,
    },
    /// Run the fuzz targets; needs a nightly compiler and cargo-fuzz
    Fuzz {
        /// How long each target runs
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        seconds: u32,
        /// Only these targets
        targets: Vec<String>,
    },
    /// Set up, build, and show the main job on two TLS hosts that share one IP address
    Demo,
}

#[derive(Args)]
struct TestArguments {
    /// Leave out the end-to-end tests, and the Envoys and programs that only they need
    #[arg(long)]
    fast: bool,
    /// The TLS matrix alone, on every Envoy: a quarter of an hour. Writes `docs/tls-matrix.md`
    #[arg(long, conflicts_with = "fast")]
    matrix: bool,
    /// Passed on to the runner of the end-to-end tests: names of tests, `--nocapture`, … With `--matrix`, the only rows to
    /// run and print: `1.39.3 no_sessions 1.2 h1`
    #[arg(last = true, conflicts_with = "fast")]
    passed_on: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::everything().map(|_| ExitCode::SUCCESS),
        Command::Wasm => {
            setup::wasm_target().and_then(|target| wasm::build(&target)).map(|_| ExitCode::SUCCESS)
        }
        Command::Lint => lint::run_alone().map(|()| ExitCode::SUCCESS),
        Command::Test(arguments) if arguments.fast => test::fast().map(|()| ExitCode::SUCCESS),
        Command::Test(arguments) if arguments.matrix => {
            test::matrix(&arguments.passed_on).map(|()| ExitCode::SUCCESS)
        }
        Command::Test(arguments) => test::all(&arguments.passed_on).map(|()| ExitCode::SUCCESS),
        Command::Bench { name, arguments } => bench::measure(name, &arguments).map(|()| ExitCode::SUCCESS),
        Command::Programs { words } => programs::run_all(&words).map(|()| ExitCode::SUCCESS),
        Command::Fuzz { seconds, targets } => fuzz::run_all(seconds, &targets).map(|()| ExitCode::SUCCESS),
        Command::Demo => demo::run_all(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_goes_to_the_end_to_end_tests() {
        let Command::Test(test) =
            Arguments::parse_from(["xtask", "test", "--", "sni", "--nocapture"]).command
        else {
            panic!("not `test`");
        };
        assert_eq!(test.passed_on, ["sni", "--nocapture"]);
    }

    #[test]
    fn what_follows_the_matrix_chooses_its_rows() {
        let typed = ["xtask", "test", "--matrix", "--", "1.39.3", "h1"];
        let Command::Test(test) = Arguments::parse_from(typed).command else { panic!("not `test`") };
        assert!(test.matrix);
        assert_eq!(test.passed_on, ["1.39.3", "h1"]);
    }
}
