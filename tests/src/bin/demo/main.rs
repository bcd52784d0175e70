//! The demo of Weir's main job: requests to two hosts that share one IP address, in both orders, and requests that
//! the policy denies.

mod row;
mod table;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{ALPHA, BETA, EnvoyBinary, IMPOSTOR, INWARD, Request, Run, ServerOptions, UNLISTED, UpstreamHosts};

use self::row::{Ask, Row};

/// How often each host is requested in each order. From the second time on, a TLS session can be resumed.
const ROUNDS: usize = 2;

fn main() -> ExitCode {
    match show() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo. Returns true if every row is as expected.
fn show() -> Result<bool> {
    let envoy = envoy()?;
    let hosts =
        UpstreamHosts::start(ServerOptions { connection_per_request: true, ..ServerOptions::default() })?;
    println!("Weir on Envoy {}", envoy.version);
    println!();
    println!(
        "Two HTTPS hosts share one address, {}, and have certificates of two different roots:",
        hosts.nginx.address()
    );
    println!("  {ALPHA} may be read (GET, HEAD)");
    println!("  {BETA}  may be used on `/` and below `/public/`");
    println!();

    let policy = hosts.policy();
    let mut rows = Vec::new();
    let mut first_answers = Vec::new();
    for order in [[ALPHA, BETA], [BETA, ALPHA]] {
        let asks = (0..ROUNDS).flat_map(|_| order).map(|host| Ask::allowed(&hosts, host)).collect();
        let what = format!("A fresh gateway, {} first", order[0]);
        let (answered, first) = ask_all(&envoy, &hosts, &policy, &what, asks)?;
        rows.extend(answered);
        first_answers.push(first);
    }
    let (answered, _) = ask_all(&envoy, &hosts, &policy, "Requests that the policy denies", refused(&hosts))?;
    rows.extend(answered);

    for (gateway, first) in first_answers.iter().enumerate() {
        println!(
            "From `weir run` to the first allowed answer, gateway {}: {} ms",
            gateway + 1,
            first.as_millis()
        );
    }
    println!();
    let command_works = run_a_command(&envoy, &hosts, &policy)?;

    let wrong = rows.iter().filter(|row| !row.is_right()).count();
    println!();
    if wrong == 0 && command_works {
        println!("All {} rows are right.", rows.len());
        say_what_next(&envoy);
    } else {
        println!("{wrong} of {} rows are wrong.", rows.len());
    }
    Ok(wrong == 0 && command_works)
}

/// The Envoy of the version that the first argument names, else the one in `WEIR_ENVOY`, else the newest installed.
fn envoy() -> Result<EnvoyBinary> {
    if let Some(version) = std::env::args().nth(1) {
        return EnvoyBinary::version(&version);
    }
    match std::env::var_os("WEIR_ENVOY") {
        Some(path) => EnvoyBinary::at(path.into()),
        None => EnvoyBinary::newest(),
    }
}

/// Sends all requests to one fresh gateway and prints the rows. Also returns the time from its start to the first
/// response.
fn ask_all(
    envoy: &EnvoyBinary,
    hosts: &UpstreamHosts,
    policy: &str,
    what: &str,
    asks: Vec<Ask>,
) -> Result<(Vec<Row>, Duration)> {
    let gateway = Run::new(envoy, hosts, policy)?.start()?;
    let mut first = None;
    let mut rows = Vec::new();
    for ask in asks {
        let row = Row::answer(ask, &gateway, hosts, rows.len())?;
        first.get_or_insert_with(|| gateway.started().elapsed());
        rows.push(row);
    }
    table::print(what, &rows);
    Ok((rows, first.context("nothing was asked")?))
}

fn refused(hosts: &UpstreamHosts) -> Vec<Ask> {
    let alpha = hosts.url(ALPHA, "/");
    let forged = Request::get(&alpha).header(format!("Host: {BETA}:{}", hosts.port()));
    vec![
        Ask::refused(
            UNLISTED,
            "a host that no rule names",
            Request::get(hosts.url(UNLISTED, "/")),
            403,
            "host_not_allowed",
        ),
        Ask::refused(
            ALPHA,
            "a method that the rule lacks",
            Request::get(&alpha).method("POST"),
            403,
            "method_not_allowed",
        ),
        Ask::refused(
            BETA,
            "a path that the rule lacks",
            Request::get(hosts.url(BETA, "/private")),
            403,
            "path_not_allowed",
        ),
        Ask::refused(ALPHA, "Host header forged to beta", forged, 421, "sni_mismatch"),
        Ask::refused(
            IMPOSTOR,
            "an upstream with beta's certificate",
            Request::get(hosts.url(IMPOSTOR, "/")),
            503,
            "certificate_not_verified",
        ),
        Ask::refused(
            INWARD,
            "a name that leads to 127.0.0.1",
            Request::get(hosts.url(INWARD, "/")),
            403,
            "address_not_allowed",
        ),
    ]
}

/// Runs `weir run -- curl`. curl takes proxy and CA from the environment that Weir sets.
fn run_a_command(envoy: &EnvoyBinary, hosts: &UpstreamHosts, policy: &str) -> Result<bool> {
    let run = Run::new(envoy, hosts, policy)?;
    let url = hosts.url(BETA, "/");
    println!("$ weir run --policy policy.yaml -- curl --silent --show-error {url}");
    let cmd = ["curl", "--silent", "--show-error", &url].map(OsString::from);
    let output = run.output(cmd)?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let right = output.status.success() && output.stdout == format!("{BETA} says hello\n").as_bytes();
    if !right {
        println!("wrong: it ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    ensure!(!output.stdout.is_empty() || !right, "curl printed nothing");
    Ok(right)
}

fn say_what_next(envoy: &EnvoyBinary) {
    let weir = std::env::var_os("WEIR_BIN").map_or_else(|| "weir".into(), |path| from_here(Path::new(&path)));
    let envoy = from_here(&envoy.path);
    println!();
    println!("Try next, with a policy.yaml of your own, such as `allowed_domains: [example.com]`:");
    println!("  export WEIR_ENVOY={envoy}");
    println!("  {weir} run --policy policy.yaml -- curl -sS https://example.com/");
    println!("  {weir} run --policy policy.yaml      (stays, and prints the variables for another shell)");
    println!("  {weir} explain --policy policy.yaml POST https://example.com/");
}

/// Formats a path relative to the current folder.
fn from_here(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}
