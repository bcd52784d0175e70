//! The fixed table: every interesting combination of host, method and path, with OPA's answer.
//!
//! The columns are the answer, the method, the principal (`-` for none), the host and the path.

use std::path::PathBuf;

use crate::request::Request;

const HEAD: &str = "# OPA\tmethod\tprincipal\thost\tpath";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/predecessor/opa-answers.tsv")
}

/// The principals, each with its host.
const HOSTS: [(&str, &str); 24] = [
    ("example.com", "example.com"),
    ("-", "example.com"),
    ("example.com", "EXAMPLE.com"),
    ("example.com", "example.com:443"),
    ("-", "example.com."),
    ("example.com", "docs.example.com"),
    ("-", "www.example.com"),
    ("build.example.org", "build.example.org"),
    ("-", "build.example.org:8443"),
    ("github.com", "github.com"),
    ("-", "github.com"),
    ("-", "github.com:8443"),
    ("api.github.com", "api.github.com"),
    ("-", "api.github.com"),
    ("-", "API.github.com"),
    ("uploads.github.com", "uploads.github.com"),
    ("-", "raw.githubusercontent.com"),
    ("-", "gist.github.com"),
    ("-", "github.attacker.com"),
    ("-", "github.com@attacker.com"),
    ("s3.amazonaws.com", "s3.amazonaws.com"),
    ("sts.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"),
    ("-", "s3.amazonaws.com"),
    ("bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com"),
];

const REQUESTS: [(&str, &str); 31] = [
    ("GET", "/"),
    ("HEAD", "/a?b=/../c"),
    ("OPTIONS", "/"),
    ("CONNECT", "/"),
    ("get", "/"),
    ("POST", "/graphql"),
    ("GET", "/a/../b"),
    ("GET", "/../b"),
    ("GET", "/a%2fb"),
    ("GET", "/a\\b"),
    ("PATCH", "/repos/octo-org/app"),
    ("POST", "/repos/octo-org/app/issues"),
    ("POST", "/repos/octo-org/app/forks"),
    ("POST", "/repos/octo-org/app?draft=true"),
    ("POST", "//repos/octo-org/app"),
    ("POST", "/repos/octo%2dorg/app/issues"),
    ("POST", "/repos/octo-org/app-2/issues"),
    ("POST", "/repos/Octo-Org/app/issues"),
    ("DELETE", "/repos/octo-org/app/../../victim/repo"),
    ("DELETE", "/repos/octo-org/app/%2e%2e/victim"),
    ("DELETE", "/repos/octo-org/app/..%2fvictim"),
    ("PUT", "/repos/octo-org/app;x/y"),
    ("PUT", "/users/octo-bot/x"),
    ("PUT", "/users/octo-bot2"),
    ("GET", "/any/repo/info/refs?service=git-upload-pack"),
    ("POST", "/any/repo.git/git-upload-pack"),
    ("GET", "/any/repo/info/refs?service=git-receive-pack"),
    ("HEAD", "/any/repo/info/refs?service=git-upload-pack&service=git-receive-pack"),
    ("GET", "/octo-org/app.git/info/refs?service=git-receive-pack"),
    ("POST", "/octo-org/app/git-receive-pack"),
    ("POST", "/any/repo/git-receive-pack"),
];

/// The questions.
pub(crate) fn requests() -> Vec<Request> {
    let of_host = |(principal, host): (&str, &str)| {
        REQUESTS.map(|(method, path)| Request {
            principal: Some(principal).filter(|principal| *principal != "-").map(str::to_owned),
            host: host.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
        })
    };
    HOSTS.into_iter().flat_map(of_host).collect()
}

/// The recorded answers.
pub(crate) fn read() -> Vec<(Request, bool)> {
    let table = crate::read(&file());
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [opa, method, principal, host, path] = cells[..] else { panic!("not a row: `{line}`") };
        let principal = Some(principal).filter(|principal| *principal != "-").map(str::to_owned);
        let [host, method, path] = [host, method, path].map(str::to_owned);
        (Request { principal, host, method, path }, opa.parse().expect("true or false"))
    };
    table.lines().skip(1).map(row).collect()
}

/// Replaces the recorded answers.
pub(crate) fn write(rows: &[(Request, bool)]) {
    let line = |(Request { principal, host, method, path }, opa): &(Request, bool)| {
        format!("{opa}\t{method}\t{}\t{host}\t{path}\n", principal.as_deref().unwrap_or("-"))
    };
    let table: String = [format!("{HEAD}\n")].into_iter().chain(rows.iter().map(line)).collect();
    std::fs::write(file(), table).expect("the table can be written");
}
