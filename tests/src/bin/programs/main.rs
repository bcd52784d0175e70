//! `cargo xtask programs`: installs the programs that people run behind Weir, runs each behind a real gateway with
//! the variables alone, and writes the tables in `docs/running.md` and `docs/denials.md`.
//!
//! The first argument is the checkout's folder `docs`, the second a folder for packages. Each further word selects the
//! programs whose names contain it, and the tables of these are printed instead.

mod list;
mod page;
mod program;
mod tools;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the programs, and returns whether each could be installed and started.
fn run() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let docs = PathBuf::from(arguments.next().context("name the folder of the documentation")?);
    let mut tools = tools::Tools::new(arguments.next().context("name a folder for packages")?.into())?;
    let words: Vec<String> = arguments.map(|word| word.to_lowercase()).collect();
    let bench = trial::Bench::start()?;
    let (mut rows, mut complete) = (Vec::new(), true);
    for program in list::PROGRAMS {
        let name = program.name.to_lowercase();
        if !words.is_empty() && !words.iter().any(|word| name.contains(word)) {
            continue;
        }
        eprintln!("    {}", program.name);
        match tools.install(program).and_then(|()| bench.run(program, &tools)) {
            Ok(outcome) => rows.push((program, outcome)),
            Err(error) => {
                eprintln!("error: {}: {error:#}", program.name);
                complete = false;
            }
        }
    }
    let (programs, denials) = (page::programs(&rows), page::denials(&rows));
    if words.is_empty() && complete {
        page::write(&docs.join("running.md"), &programs)?;
        page::write(&docs.join("denials.md"), &denials)?;
    } else {
        println!("{programs}\n{denials}");
        for (program, outcome) in &rows {
            eprintln!("{}: {outcome:#?}", program.name);
        }
    }
    Ok(complete)
}
