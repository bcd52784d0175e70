//! Spellings of paths at real servers: a server serves only content that the policy allows, for each spelling.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use e2e::{EnvoyBinary, Head, PathServer, Run, RunningGateway, ServerOptions, UpstreamHosts, Wire};

/// A host whose paths below `/public/` may be read.
const FOLDER: &str = "folder.weir.test";
/// A host that may be read, except `/secret` and the paths below it.
const FENCED: &str = "fenced.weir.test";
/// A host whose rule has no paths.
const FREE: &str = "free.weir.test";
/// A host that serves each user's avatar.
const AVATARS: &str = "avatars.weir.test";

/// Spellings of a path to `secret`, which replaces each `S`.
const SPELLINGS: [&str; 101] = [
    // Plain spellings, and dot segments.
    "/S",
    "/S/",
    "/S/a",
    "/public/S",
    "/public/",
    "/public/../S",
    "/public/%2e%2e/S",
    "/public/.%2E/S",
    "/public/./S",
    "/./S",
    "/../S",
    "/public/../../S",
    "/public/x/../../S",
    // Slashes at the beginning, which some servers read as an authority.
    "//S",
    "///S",
    "////S",
    "//x/S",
    "///x/S",
    "////x/S",
    "//x@y/S",
    "//x:y@z/S",
    "//x:80/S",
    "//x//S",
    "//x//y/S",
    "//public/S",
    "///public/S",
    "//public//S",
    "//public/x/S",
    "//public@x/S",
    "//[::1]/S",
    "//x",
    "//",
    "///",
    "//x?/S",
    "//public?/S",
    "//S?x",
    "//%70ublic/S",
    "//x/%73ecret",
    // Slashes at the beginning that remain after dot segments.
    "/.//S",
    "/.//x/S",
    "/..//x/S",
    "/x/..//S",
    "/x/..//y/S",
    "/%2e//x/S",
    "/x/%2e%2e//y/S",
    "//x/../S",
    "//x/..//S",
    // Slashes inside the path.
    "/public//S",
    "/public///S",
    "/public//../S",
    "/public//..//S",
    "/public/a//../../S",
    "/a//../S",
    "/a//../../S",
    "/S//",
    "/S//a",
    "/public//",
    // Backslashes.
    "/\\S",
    "/\\x/S",
    "/\\\\x/S",
    "\\\\x\\S",
    "/public\\..\\S",
    "/%5cS",
    "/%5cx/S",
    "/%5c%5cx/S",
    "/public%5c..%5cS",
    // Encoded separators and ends.
    "/%2fS",
    "/%2fx/S",
    "/%2f%2fx/S",
    "/public%2fS",
    "/public/%2fS",
    "/public/..%2fS",
    "/public%2f..%2fS",
    "//x%2fS",
    "/S%2fa",
    "/S%3fx",
    "/S%23x",
    "/public%3f/../S",
    "/public%3fS",
    "/public#/S",
    // Escaped escapes.
    "/%2573ecret",
    "/public%252fS",
    "/%252fS",
    "/%252fx/S",
    "/public/%252e%252e/S",
    "/public/%c0%ae%c0%ae/S",
    // Parameters.
    "/S;x",
    "/S;x/a",
    "/S;x/y",
    "/S;/../S;x/y",
    "/public;/S",
    "/public/S;/avatar",
    "/users/S;/avatar",
    "/users/S;x/avatar",
    "/users/S%3b/avatar",
    "/users/1;/avatar",
    "/users/1/avatar",
    "/S%3bx",
    "/;x/S",
    "/public/..;/S",
    "/public/;x/../S",
];

/// Judges a path by the rules about `/secret`, without the code under test.
fn is_allowed(host: &str, path: &str) -> bool {
    match host {
        // A file system ignores a slash at the end: the empty path below `/public/` is the folder itself.
        FOLDER => path == "/public" || path.starts_with("/public/"),
        FENCED => path != "/secret" && !path.starts_with("/secret/"),
        AVATARS => {
            matches!(path.split('/').collect::<Vec<_>>()[..], ["", "users", user, "avatar"] if !user.is_empty())
        }
        _ => true,
    }
}

fn policy(servers: &[PathServer]) -> String {
    let ports: Vec<String> = servers.iter().map(|server| server.address().port().to_string()).collect();
    let common = format!("schemes: [http], ports: [{}], addresses: [127.0.0.1/32]", ports.join(", "));
    format!(
        "rules:
- {{id: folder, effect: allow, hosts: [{FOLDER}], {common}, paths: ['/public/*']}}
- {{id: fenced, effect: allow, hosts: [{FENCED}], {common}}}
- {{id: secret, effect: deny, hosts: [{FENCED}], paths: [/secret, '/secret/*']}}
- {{id: avatars, effect: allow, hosts: [{AVATARS}], {common}, paths: ['/users/{{id}}/avatar']}}
- {{id: free, effect: allow, hosts: [{FREE}], {common}}}
"
    )
}

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, Vec<PathServer>, RunningGateway)> {
    let servers = PathServer::start_all()?;
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    for host in [FOLDER, FENCED, AVATARS, FREE] {
        hosts.dns.set(host, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
    let gateway = Run::new(envoy, &hosts, &policy(&servers))?.start()?;
    Ok((hosts, servers, gateway))
}

/// A connection to the proxy that opens again after it was closed.
struct Line<'g> {
    gateway: &'g RunningGateway,
    /// The authority of the CONNECT for the requests inside.
    tunnel: Option<String>,
    wire: Option<Wire>,
}

impl Line<'_> {
    fn ask(&mut self, host: &str, target: &str) -> Result<Option<BTreeMap<String, String>>> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.open()?,
        };
        wire.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))?;
        let head = wire.expect_head()?;
        let mut content = Vec::new();
        wire.read_content(&head, |piece| content.extend_from_slice(piece))?;
        if head.header("connection") != Some("close") {
            self.wire = Some(wire);
        }
        let served = head.start.contains(" 200 ") && head.header("x-weir-decision").is_none();
        ensure!(served || is_refusal(&head), "{target}: {head:?}");
        if served { PathServer::paths(&content).map(Some) } else { Ok(None) }
    }

    fn open(&self) -> Result<Wire> {
        let mut wire = Wire::connect(self.gateway.address()?)?;
        if let Some(authority) = &self.tunnel {
            wire.write(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"))?;
            let head = wire.expect_head()?;
            ensure!(head.start.contains(" 200 "), "{head:?}");
        }
        Ok(wire)
    }
}

/// Returns whether the answer is a denial by Weir, or a refusal by Envoy or by the server.
fn is_refusal(head: &Head) -> bool {
    ["400", "403", "404", "301", "302", "307", "308"]
        .iter()
        .any(|status| head.start.contains(&format!(" {status}")))
}

fn no_spelling_leads_a_server_to_what_is_not_allowed(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, servers, gateway) = start(envoy)?;
    let mut led_astray = Vec::new();
    for server in &servers {
        for (host, least) in [(FOLDER, 10), (FENCED, 10), (AVATARS, 1)] {
            let authority = format!("{host}:{}", server.address().port());
            let mut absolute = Line { gateway: &gateway, tunnel: None, wire: None };
            let mut inside = Line { gateway: &gateway, tunnel: Some(authority.clone()), wire: None };
            let mut served = 0;
            for spelling in SPELLINGS {
                let spelled = spelling.replace('S', "secret");
                let answers = [
                    absolute.ask(&authority, &format!("http://{authority}{spelled}"))?,
                    inside.ask(&authority, &spelled)?,
                ];
                for paths in answers.into_iter().flatten() {
                    served += 1;
                    let astray = paths.into_iter().filter(|(_, path)| !is_allowed(host, path));
                    led_astray.extend(astray.map(|(parser, path)| {
                        format!("{host}{spelled}: {} ({parser}) serves {path}", server.language())
                    }));
                }
            }
            assert!(served > least, "{} served {served} requests of {host}", server.language());
        }
    }
    assert_eq!(led_astray, [""; 0]);
    Ok(())
}

fn slashes_reach_the_server_of_a_host_without_rules_about_paths(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, servers, gateway) = start(envoy)?;
    let mut asked = 0;
    for server in servers.iter().filter(|server| server.language() == "Go") {
        let authority = format!("{FREE}:{}", server.address().port());
        let mut line = Line { gateway: &gateway, tunnel: None, wire: None };
        for key in ["//bucket//key", "/bucket//key", "/bucket/key//", "/bucket/a%2f%2fb", "/a%252fb"] {
            let paths = line.ask(&authority, &format!("http://{authority}{key}"))?;
            let decoded = key.replace("%2f", "/").replace("%25", "%");
            assert_eq!(paths.as_ref().and_then(|paths| paths.get("net/http")), Some(&decoded), "{key}");
            asked += 1;
        }
    }
    assert_eq!(asked, 5);
    Ok(())
}

/// The negative control: without Weir, these servers do serve forbidden content.
#[test]
fn servers_disagree_about_a_path() -> Result<()> {
    let servers = PathServer::start_all()?;
    let serves = |language: &str, parser: &str, target: &str| -> Result<Option<String>> {
        let server = servers.iter().find(|server| server.language() == language);
        Ok(server.map(|server| server.ask(target)).transpose()?.and_then(|mut paths| paths.remove(parser)))
    };
    for (language, parser, target, path) in [
        ("Node", "url.parse", "//public/secret", "//public/secret"),
        ("Node", "url.parse", "//x@y/secret", "/secret"),
        ("Node", "url.parse with a host", "//public/secret", "/secret"),
        ("Node", "new URL", "//public/secret", "/secret"),
        ("Node", "find-my-way", "/users/1;/avatar", "/users/1"),
        ("Node", "find-my-way", "/secret;x/y", "/secret"),
        ("Node", "new URL", "///public/secret", "/secret"),
        ("Python", "http.server", "//public/secret", "/public/secret"),
        ("Python", "urlsplit", "//public/secret", "/secret"),
        ("Python", "urlparse", "/a;b/secret;x", "/a;b/secret"),
        ("Go", "net/http", "//public/secret", "//public/secret"),
        ("Go", "path.Clean", "//public/secret", "/public/secret"),
        ("Go", "url.Parse", "//public/secret", "/secret"),
        ("Java", "HttpServer", "//public/secret", "/secret"),
        ("Java", "HttpServer", "/public%2fsecret", "/public/secret"),
        ("PHP", "parse_url", "//public/secret", "/secret"),
        ("nginx", "merged", "//public/secret", "/public/secret"),
        ("nginx", "merged", "/public%2fsecret", "/public/secret"),
    ] {
        assert_eq!(serves(language, parser, target)?.as_deref(), Some(path), "{language} {parser} {target}");
    }
    Ok(())
}

on_oldest_and_newest_envoy!(
    no_spelling_leads_a_server_to_what_is_not_allowed,
    slashes_reach_the_server_of_a_host_without_rules_about_paths,
);
