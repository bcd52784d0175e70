//! Data and requests that are likely to meet: the names of the data, their neighbours, and every spelling that once
//! made a difference.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::request::Request;

const READ: [&str; 5] =
    ["example.com", "docs.example.com", "gist.github.com", "uploads.github.com", "s3.amazonaws.com"];
const UNRESTRICTED: [&str; 3] = ["build.example.org", "github.internal.example", "codeload.github.com"];
const REPOSITORIES: [&str; 4] = ["octo-org/app", "octo-org/lib", "git/info", "a/git-receive-pack"];
const USERS: [&str; 2] = ["octo-bot", "octo-org"];
const SERVICES: [&str; 3] = ["s3", "sts", "api.ecr"];

const HOSTS: [&str; 34] = [
    "example.com",
    "docs.example.com",
    "www.example.com",
    "xexample.com",
    "example.com.attacker.example",
    "build.example.org",
    "a.build.example.org",
    "github.internal.example",
    "github.com",
    "github.com",
    "github.com",
    "api.github.com",
    "api.github.com",
    "api.github.com",
    "uploads.github.com",
    "codeload.github.com",
    "raw.githubusercontent.com",
    "a.b.githubusercontent.com",
    "githubusercontent.com",
    "gist.github.com",
    "github.attacker.com",
    "attacker-github.com",
    "github.com.attacker.example",
    "mygithub.example",
    "github_.com",
    "git.hub.com",
    "s3.amazonaws.com",
    "sts.eu-west-1.amazonaws.com",
    "api.ecr.us-east-1.amazonaws.com",
    "bucket.s3.amazonaws.com",
    "sts.eu-west-9.amazonaws.com",
    "s3.amazonaws.com.attacker.example",
    "127.0.0.1",
    "",
];

const METHODS: [&str; 13] = [
    "GET", "GET", "HEAD", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "get", "PROPFIND",
    "",
];

const SEGMENTS: [&str; 25] = [
    "a",
    "repos",
    "users",
    "octo-org",
    "app",
    "lib",
    "octo-bot",
    "Octo-Org",
    "victim",
    "info",
    "refs",
    "git",
    "git-receive-pack",
    "",
    "",
    ".",
    "..",
    "..",
    "%2e%2e",
    "a%2fb",
    "a%5cb",
    "%2561",
    "%61pp",
    ";x",
    "a\\b",
];

const PATHS: [&str; 20] = [
    "/",
    "",
    "*",
    "repos/octo-org/app",
    "/repos/octo-org/app",
    "/repos/octo-org/app",
    "/repos/octo-org/lib",
    "/repos/%6fcto-org/app",
    "//repos/octo-org/app",
    "/repos/octo-org/app;v=1",
    "/users/octo-bot",
    "/users/octo-bot",
    "/users/octo%2dbot",
    "/octo-org/app/info/refs",
    "/octo-org/app.git/git-receive-pack",
    "/octo-org/app/git-upload-pack",
    "/victim/repo/info/refs",
    "/victim/repo/Info/Refs/",
    "/victim/repo.git/git-receive-pack",
    "/victim/repo/git-upload-pack",
];

const QUERIES: [&str; 9] = [
    "",
    "",
    "",
    "?",
    "?draft=true",
    "?a=/../b/repos",
    "?service=git-upload-pack",
    "?service=git-receive-pack",
    "?service=git-upload-pack&service=git-receive-pack",
];

/// A data document: some of the names, each switch either way.
pub(crate) fn data() -> impl Strategy<Value = Value> {
    let some = |names: &'static [&'static str]| subsequence(names, 0..=names.len());
    let lists = (some(&READ), some(&UNRESTRICTED), some(&REPOSITORIES), some(&USERS), some(&SERVICES));
    (lists, any::<bool>(), any::<bool>()).prop_map(
        |((read, unrestricted, repos, users, services), github, aws)| {
            json!({
                "allowed_domains": read,
                "unrestricted_domains": unrestricted,
                "github_read_access_enabled": github,
                "github_allowed_repos": repos,
                "github_allowed_users": users,
                "aws_access_enabled": aws,
                "aws_allowed_services": services,
            })
        },
    )
}

/// A request: well-formed more often than not, and its names a certificate's names.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let host = select(&HOSTS[..]);
    let spelling = prop_oneof![
        6 => Just(Spelling::Plain),
        1 => Just(Spelling::Upper),
        1 => Just(Spelling::Capital),
        1 => select(&[".", "..", ":443", ":80", ".:443", ":8443", ":", ":0443", ":22"][..]).prop_map(Spelling::Behind),
        1 => select(&["user@", "github@", "github:x@", " "][..]).prop_map(Spelling::Before),
    ];
    let principal = prop_oneof![
        4 => Just(Principal::None),
        5 => Just(Principal::Same),
        1 => select(&HOSTS[..]).prop_map(Principal::Other),
    ];
    let made = vec(select(&SEGMENTS[..]), 0..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let start = prop_oneof![1 => Just(String::new()), 2 => select(&PATHS[..]).prop_map(str::to_owned)];
    let end = prop_oneof![2 => Just(String::new()), 1 => made];
    let path =
        (start, end, select(&QUERIES[..])).prop_map(|(start, end, query)| format!("{start}{end}{query}"));
    (host, spelling, principal, select(&METHODS[..]), path).prop_map(
        |(host, spelling, principal, method, path)| Request {
            principal: match principal {
                Principal::None => None,
                Principal::Same => Some(host.to_owned()),
                Principal::Other(other) => Some(other.to_owned()),
            },
            host: spelling.of(host),
            method: method.to_owned(),
            path,
        },
    )
}

#[derive(Clone, Copy, Debug)]
enum Principal {
    None,
    Same,
    Other(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    Upper,
    /// Of the last letters, where a search for `github` may begin or end.
    Capital,
    Behind(&'static str),
    Before(&'static str),
}

impl Spelling {
    fn of(self, host: &str) -> String {
        match self {
            Spelling::Plain => host.to_owned(),
            Spelling::Upper => host.to_ascii_uppercase(),
            Spelling::Capital => host.replace("com", "COM"),
            Spelling::Behind(end) => format!("{host}{end}"),
            Spelling::Before(start) => format!("{start}{host}"),
        }
    }
}
