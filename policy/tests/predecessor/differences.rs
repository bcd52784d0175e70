//! The intended differences between the decisions of Weir and of the predecessor.

use weir_policy::{Decision, Effect, Policy, Reason, Scheme};

use crate::plain;
use crate::rego::Rego;
use crate::request::Request;

/// A difference. Its row in `docs/predecessor.md` gives the reason.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// Weir's decision. The Rego policy decides the contrary.
    effect: Effect,
    kind: Kind,
}

enum Kind {
    /// The spelling alone makes the difference: Weir decides alike for both spellings, and the Rego policy agrees with
    /// Weir about this one.
    Spelling(fn(&Request) -> Request),
    /// Weir denies the request as invalid, with this reason.
    Unreadable(Reason),
    /// A property of a valid request.
    Fact(fn(&Request) -> bool),
}

use Kind::{Fact, Spelling, Unreadable};

/// Every difference, in the order of the documentation. Spellings are normalised in this order too.
pub(crate) const DIFFERENCES: [Difference; 17] = [
    allowed("host_spelling", Spelling(plain::authority)),
    allowed("path_spelling", Spelling(plain::path)),
    allowed("query_behind_a_name", Spelling(plain::query)),
    allowed("names_in_any_case", Spelling(plain::case)),
    allowed("git_fetch", Fact(is_git_fetch)),
    allowed("git_push", Fact(is_git_push)),
    allowed("aws_names", Fact(|request| over_tls(request) && name(request).ends_with(".amazonaws.com"))),
    denied("dot_segments", Spelling(plain::path)),
    denied("names_with_github_in_them", Fact(|request| !is_github(request))),
    denied("other_ports_of_github", Fact(|request| is_github(request) && port(request).is_some())),
    denied("each_github_host_for_its_use", Fact(|request| is_at_home(request) && !is_in_use(request))),
    denied(
        "writes_in_the_clear",
        Fact(|request| is_at_home(request) && is_in_use(request) && !reads(request) && !over_tls(request)),
    ),
    denied(
        "push_discovery",
        Fact(|request| is_at_home(request) && reads(request) && git_service(request) == Some(Git::Push)),
    ),
    denied("writes_elsewhere", Fact(is_write_elsewhere)),
    denied("two_readings", Unreadable(Reason::AmbiguousPath)),
    denied("no_host", Unreadable(Reason::InvalidHost)),
    denied("no_method", Unreadable(Reason::InvalidMethod)),
];

const fn allowed(name: &'static str, kind: Kind) -> Difference {
    Difference { name, effect: Effect::Allow, kind }
}

const fn denied(name: &'static str, kind: Kind) -> Difference {
    Difference { name, effect: Effect::Deny, kind }
}

/// Returns the difference that explains a disagreement about a request, or `None` if there is no disagreement.
///
/// # Errors
/// When the number of explanations is not one.
pub(crate) fn explanation(
    policy: &Policy,
    rego: &Rego,
    request: &Request,
) -> Result<Option<&'static str>, String> {
    let ours = policy.decide(&request.for_weir());
    if agree(&ours, rego, request) {
        return Ok(None);
    }
    let mine = || DIFFERENCES.iter().filter(|difference| difference.effect == ours.effect);
    if let Some(refusal) =
        mine().find(|difference| matches!(difference.kind, Unreadable(reason) if reason == ours.reason))
    {
        return Ok(Some(refusal.name));
    }
    // Each spelling is normalised after the others, so that at most one of them ends the disagreement.
    let mut plainer = request.clone();
    for difference in mine() {
        let Spelling(spell) = difference.kind else { continue };
        plainer = spell(&plainer);
        let again = policy.decide(&plainer.for_weir());
        if again.effect != ours.effect {
            return Err(format!("Weir reads {request:?} and {plainer:?} differently"));
        }
        if agree(&ours, rego, &plainer) {
            return Ok(Some(difference.name));
        }
    }
    let plainer = plain::path(&plain::authority(request));
    let facts: Vec<&str> = mine()
        .filter(|difference| matches!(difference.kind, Fact(holds) if holds(&plainer)))
        .map(|difference| difference.name)
        .collect();
    match facts[..] {
        [fact] => Ok(Some(fact)),
        _ => Err(format!("{request:?}: {}, {}; explained by {facts:?}", ours.effect, ours.reason)),
    }
}

fn agree(ours: &Decision<'_>, rego: &Rego, request: &Request) -> bool {
    rego.allows(request) == (ours.effect == Effect::Allow)
}

fn over_tls(request: &Request) -> bool {
    request.scheme() == Scheme::Https
}

fn reads(request: &Request) -> bool {
    matches!(request.method.as_str(), "GET" | "HEAD")
}

fn name(request: &Request) -> &str {
    request.host.split(':').next().unwrap_or_default()
}

/// Returns whether the port is not the scheme's default.
fn port(request: &Request) -> Option<&str> {
    request.host.split_once(':').map(|(_, port)| port)
}

/// Returns whether GitHub documents the host for reads, the API or git.
fn is_github(request: &Request) -> bool {
    let hosts = ["github.com", "api.github.com", "codeload.github.com", "uploads.github.com"];
    hosts.contains(&name(request)) || name(request).ends_with(".githubusercontent.com")
}

fn is_at_home(request: &Request) -> bool {
    is_github(request) && port(request).is_none()
}

/// Returns whether the host is for reads, or for writes over the API.
fn is_in_use(request: &Request) -> bool {
    match name(request) {
        "api.github.com" => true,
        "uploads.github.com" => !reads(request),
        _ => reads(request),
    }
}

#[derive(PartialEq)]
enum Git {
    Fetch,
    Push,
}

/// Returns the git operation that a request asks of `github.com`, if any.
fn git_service(request: &Request) -> Option<Git> {
    if name(request) != "github.com" {
        return None;
    }
    let lower = request.path.to_ascii_lowercase();
    let (path, query) = lower.split_once('?').unwrap_or((&lower, ""));
    // A server that drops path parameters finds the service before them, in any segment.
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    let before_parameters =
        |name: &str| path.contains(';') && segments.clone().any(|segment| segment == name);
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let asks_for = |name: &str| last == name || before_parameters(name);
    if asks_for("git-receive-pack") {
        Some(Git::Push)
    } else if asks_for("refs") {
        Some(if matches!(query, "" | "service=git-upload-pack") { Git::Fetch } else { Git::Push })
    } else {
        (last == "git-upload-pack").then_some(Git::Fetch)
    }
}

fn is_git_fetch(request: &Request) -> bool {
    over_tls(request) && request.method == "POST" && git_service(request) == Some(Git::Fetch)
}

fn is_git_push(request: &Request) -> bool {
    over_tls(request)
        && matches!(request.method.as_str(), "GET" | "POST")
        && git_service(request) == Some(Git::Push)
}

/// Returns whether a write to a repository over the API changes something outside it.
fn is_write_elsewhere(request: &Request) -> bool {
    let path = request.path.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let leads_elsewhere = matches!(segments[..], ["", "repos", _, _, "forks" | "generate" | "transfer"]);
    is_at_home(request) && is_in_use(request) && !reads(request) && over_tls(request) && leads_elsewhere
}
