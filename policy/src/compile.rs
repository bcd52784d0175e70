//! From a document to a policy: defaults are filled in, data keys become rules.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::decision::Effect;
use crate::document::{PolicyDocument, REGO_RULE, RegoFiles, RuleDocument, yaml};
use crate::fault::{At, Collector, Faults};
use crate::git::GitScope;
use crate::mode::Mode;
use crate::policy::Policy;
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::writer::{self, Draft, DraftHost, DraftPorts};

mod aws;
mod github;
mod index;
pub(crate) mod overlap;
mod places;
pub(crate) mod shadow;
mod together;

use places::Places;

/// Compiles the text of a policy document, YAML or JSON.
///
/// | key | what it becomes |
/// |---|---|
/// | `allowed_domains` | an allow rule of that id: GET and HEAD to these exact hosts, over both schemes on their ports |
/// | `unrestricted_domains` | the same with any method |
/// | `github_read_access_enabled` | GET, HEAD and git's fetch at `github.com`, `api.github.com`, `codeload.github.com` and below `githubusercontent.com` |
/// | `github_allowed_repos` | writes below `/repos/OWNER/NAME` of GitHub's REST API, but for those that write elsewhere, and pushes to that repository, over https; the names in any case |
/// | `github_allowed_users` | writes below `/users/NAME` of GitHub's REST API, over https; the name in any case |
/// | `aws_access_enabled`, `aws_allowed_services` | any method over https to `SERVICE.amazonaws.com` and `SERVICE.REGION.amazonaws.com`; of S3 the path `/` alone |
/// | `rules` | each a rule: `id` and `effect`, and optionally the rest |
/// | `mode` | of the document or of a rule: `enforce` (default), `report`, `open`; a rule without it has the document's, a deny rule in an open document enforces |
/// | `hosts` | exact, or `*.example.com`: one or more labels below, never the bare name. An allow rule needs it; a deny rule without it is about every host |
/// | `schemes` | default: https for allow, both for deny |
/// | `ports` | default: the scheme's own for allow, all for deny |
/// | `methods` | default: any |
/// | `paths` | default: any; `/exact`, `/prefix/*` (everything below, `/prefix/` included), `/a/{one-segment}/b` |
/// | `paths_ignore_case` | `true`: letters of `paths` match in either case |
/// | `rego` | the names of the files of a Rego policy; it must agree to what the rules allow. In a document that allows nothing itself, it becomes an allow rule of that id for every name on the default ports |
/// | `addresses` | allow only: ranges that the names may resolve to although they are not public |
/// | `tls` | allow only: `intercept` (default), or `passthrough`: connections to these hosts are not opened. Such a rule has no methods and no paths, and is about https alone |
/// | `upstream` | allow only: where the requests go, and how that server is verified: `host`, `port`, `sni`, `names`, `ca`, `client_certificate`, `client_key`, `sessions: resume` or `none`; of what is passed through `host` and `port` |
///
/// A deny rule is wide where it is silent and an allow rule narrow: what is left out never lets more through.
///
/// A rule that can never decide, because others decide all of it, is a fault; and so is a host that one rule
/// passes through while another would judge its requests.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile(source: &str) -> Result<Policy, Faults> {
    compile_document(source).map(|compiled| compiled.policy)
}

/// What a document becomes.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Its rules.
    pub policy: Policy,
    /// The files of the Rego policy without which [`Compiled::policy`] allows nothing, if it has one.
    pub rego: Option<RegoFiles>,
}

/// [`compile`], with what the document says of a Rego policy.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile_document(source: &str) -> Result<Compiled, Faults> {
    let mut faults = Collector::default();
    let (Drafts { rules, mode, rego }, mut policy) = (drafts(source, &mut faults), Policy::deny_all());
    if faults.is_empty() {
        let written = writer::write(&rules, mode, rego.is_some()).map_err(|error| error.to_string());
        match written.and_then(|bytes| Policy::from_bytes(bytes).map_err(|error| error.to_string())) {
            Ok(compiled) => policy = compiled,
            Err(error) => faults.report(0..0, &At::Root, error, None),
        }
    }
    faults.finish(source, Compiled { policy, rego })
}

/// The rules of a document, and what holds for all of them.
#[derive(Default)]
struct Drafts<'s> {
    rules: Vec<Draft<'s>>,
    mode: Mode,
    rego: Option<RegoFiles>,
}

/// The rules of a document; only meaningful when no fault was found.
fn drafts<'s>(source: &'s str, faults: &mut Collector) -> Drafts<'s> {
    let Some(root) = yaml::read(source, faults) else { return Drafts::default() };
    root.inspect(&At::Root, faults);
    let PolicyDocument { mode, allowed_domains, unrestricted_domains, github, aws, rego, rules } =
        PolicyDocument::read(&root, faults);
    let data = [
        domains("allowed_domains", allowed_domains, words(&["GET", "HEAD"])),
        domains("unrestricted_domains", unrestricted_domains, BTreeSet::new()),
    ];
    let data = data.into_iter().flatten().chain(github::rules(github)).chain(aws::rules(aws));
    let mut drafts: Vec<Draft<'_>> = data.map(|draft| Draft { mode, ..draft }).collect();
    let fences = |rule: &RuleDocument<'_>| {
        rule.effect == Some(Effect::Allow) && rule.tls.unwrap_or_default() == Tls::Intercept
    };
    if rego.is_some() && drafts.is_empty() && !rules.iter().any(fences) {
        drafts.push(Draft { mode, ..left_to_rego() });
    }
    let first = drafts.len();
    let ids: Vec<Range<usize>> =
        rules.iter().map(|rule| rule.id.as_ref().map_or(0..0, |id| id.span.clone())).collect();
    drafts.extend(rules.into_iter().filter_map(|rule| draft(rule, mode)));
    if faults.is_empty() {
        let places = Places::new(source, &drafts, first, ids);
        for overlap in overlap::find(&drafts) {
            places.refuse_overlap(overlap, faults);
        }
        for shadow in shadow::find(&drafts, first) {
            places.refuse_shadowed(shadow, faults);
        }
    }
    Drafts { rules: drafts, mode, rego }
}

/// Where the document allows nothing itself, its Rego policy alone allows: every name, on the ports of the schemes.
fn left_to_rego() -> Draft<'static> {
    Draft {
        hosts: None,
        schemes: BTreeSet::from(Scheme::ALL),
        ..allow_https(REGO_RULE, Vec::new(), BTreeSet::new())
    }
}

fn words<'s>(words: &[&'static str]) -> BTreeSet<Cow<'s, str>> {
    words.iter().map(|word| Cow::Borrowed(*word)).collect()
}

fn exact<'s>(name: impl Into<Cow<'s, str>>) -> DraftHost<'s> {
    DraftHost { name: name.into(), below: false }
}

/// The rule that a data key becomes; none for an empty list, because a rule without hosts would be about all of them.
fn domains<'s>(
    key: &'static str,
    hosts: Vec<DraftHost<'s>>,
    methods: BTreeSet<Cow<'s, str>>,
) -> Option<Draft<'s>> {
    (!hosts.is_empty())
        .then(|| Draft { schemes: BTreeSet::from(Scheme::ALL), ..allow_https(key, hosts, methods) })
}

/// An allow rule with the defaults of one: https on its port, every path, public addresses.
fn allow_https<'s>(
    id: &'static str,
    hosts: Vec<DraftHost<'s>>,
    methods: BTreeSet<Cow<'s, str>>,
) -> Draft<'s> {
    Draft {
        id: Cow::Borrowed(id),
        effect: Effect::Allow,
        hosts: Some(hosts),
        schemes: BTreeSet::from([Scheme::Https]),
        ports: DraftPorts::Default,
        methods,
        paths: BTreeSet::new(),
        git: GitScope::Any,
        mode: Mode::Enforce,
        addresses: BTreeSet::new(),
        tls: Tls::Intercept,
        upstream: None,
    }
}

fn draft(rule: RuleDocument<'_>, of_document: Mode) -> Option<Draft<'_>> {
    let RuleDocument {
        index: _,
        id,
        effect,
        mode,
        hosts,
        ports,
        schemes,
        methods,
        paths,
        addresses,
        tls,
        upstream,
    } = rule;
    let effect = effect?;
    let (default_schemes, default_ports) = match effect {
        Effect::Allow => (BTreeSet::from([Scheme::Https]), DraftPorts::Default),
        Effect::Deny => (BTreeSet::from(Scheme::ALL), DraftPorts::Any),
    };
    let default_mode = match (effect, of_document) {
        // What is open is what no rule allows; what is forbidden by name stays so.
        (Effect::Deny, Mode::Open) => Mode::Enforce,
        (Effect::Allow | Effect::Deny, mode) => mode,
    };
    Some(Draft {
        id: id?.value,
        effect,
        hosts,
        schemes: schemes.unwrap_or(default_schemes),
        ports: ports.map_or(default_ports, DraftPorts::Listed),
        methods: methods.unwrap_or_default(),
        paths: paths.unwrap_or_default(),
        git: GitScope::Any,
        mode: mode.unwrap_or(default_mode),
        addresses: addresses.unwrap_or_default(),
        tls: tls.unwrap_or_default(),
        upstream,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostPattern, Outcome, Port, Reason, Request, Target};

    fn policy(source: &str) -> Policy {
        compile(source).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn reason(policy: &Policy, method: &str, url: &str) -> Reason {
        let target = Target::parse(url).expect("a URL");
        policy.decide(&target.request(method)).reason
    }

    /// `line:column at: message` of each fault.
    fn faults(source: &str) -> Vec<String> {
        let faults = compile(source).expect_err("a faulty document");
        assert_eq!(faults.omitted, 0);
        faults
            .list
            .iter()
            .map(|fault| format!("{}:{} {}: {}", fault.line, fault.column, fault.at, fault.message))
            .collect()
    }

    #[test]
    fn data_keys_become_rules_over_both_schemes() {
        let policy = policy("allowed_domains: [read.example]\nunrestricted_domains: [write.example]");
        for (method, url, expected) in [
            ("GET", "https://read.example/", Reason::Allowed),
            ("HEAD", "http://read.example/", Reason::Allowed),
            ("POST", "https://read.example/", Reason::MethodNotAllowed),
            ("OPTIONS", "https://read.example/", Reason::MethodNotAllowed),
            ("POST", "http://write.example/", Reason::Allowed),
            ("GET", "https://www.read.example/", Reason::HostNotAllowed),
            ("GET", "http://read.example:443/", Reason::PortNotAllowed),
        ] {
            assert_eq!(reason(&policy, method, url), expected, "{method} {url}");
        }
        let ids: Vec<&str> = policy.rules().map(|rule| rule.id()).collect();
        assert_eq!(ids, ["allowed_domains", "unrestricted_domains"]);
    }

    #[test]
    fn empty_data_keys_allow_nothing() {
        let policy = policy("allowed_domains: []\nunrestricted_domains: []");
        assert_eq!(reason(&policy, "GET", "https://any.example/"), Reason::HostNotAllowed);
    }

    #[test]
    fn suffix_pattern_does_not_match_the_bare_domain() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: ['*.example.com']}]");
        assert_eq!(reason(&policy, "GET", "https://a.example.com/"), Reason::Allowed);
        assert_eq!(reason(&policy, "GET", "https://a.b.example.com/"), Reason::Allowed);
        assert_eq!(reason(&policy, "GET", "https://example.com/"), Reason::HostNotAllowed);
    }

    #[test]
    fn a_silent_deny_rule_is_wide() {
        let policy = policy(
            "unrestricted_domains: [a.example]\n\
             rules: [{id: up, effect: allow, hosts: [a.example, up.example], ports: [8443]}, {id: never, effect: deny, hosts: [a.example]}]",
        );
        for url in ["http://a.example/", "https://a.example/", "https://a.example:8443/"] {
            assert_eq!(reason(&policy, "GET", url), Reason::DeniedByRule, "{url}");
        }
    }

    #[test]
    fn among_rules_that_say_the_same_the_first_counts() {
        let policy = policy(
            "rules:\n\
             - {id: below, effect: allow, hosts: ['*.example']}\n\
             - {id: exact, effect: allow, hosts: [a.example, a.test]}\n\
             - {id: no-exact, effect: deny, hosts: [a.example], methods: [PUT, POST]}\n\
             - {id: no-below, effect: deny, hosts: ['*.example'], methods: [PUT]}\n\
             - {id: no-writing, effect: deny, methods: [PUT, POST, PATCH]}\n",
        );
        for (method, rule) in
            [("GET", "below"), ("PUT", "no-exact"), ("POST", "no-exact"), ("PATCH", "no-writing")]
        {
            let target = Target::parse("https://a.example/").expect("a URL");
            let decision = policy.decide(&target.request(method));
            assert_eq!(decision.rule.map(|rule| rule.id()), Some(rule), "{method}");
        }
    }

    #[test]
    fn the_rule_that_came_furthest_names_the_reason() {
        let policy = policy(
            "rules:\n\
             - {id: plain, effect: allow, hosts: [a.example], schemes: [http]}\n\
             - {id: port, effect: allow, hosts: [a.example], ports: [8443]}\n\
             - {id: method, effect: allow, hosts: ['*.example'], methods: [PUT]}\n\
             - {id: path, effect: allow, hosts: [a.example], methods: [GET], paths: [/x]}\n",
        );
        let decide = |method: &str, url: &str| {
            let target = Target::parse(url).expect("a URL");
            let (decision, trace) = policy.explain(&target.request(method));
            let rule = decision.rule.map(|rule| rule.id().to_owned());
            (decision.reason.as_str(), rule.unwrap_or_default(), trace.steps.len())
        };
        assert_eq!(decide("GET", "https://a.example/"), ("path_not_allowed", "path".to_owned(), 4));
        assert_eq!(decide("POST", "https://a.example/"), ("method_not_allowed", "method".to_owned(), 4));
        assert_eq!(decide("POST", "https://a.example:9/"), ("port_not_allowed", "port".to_owned(), 4));
        assert_eq!(decide("GET", "http://a.example:9/"), ("port_not_allowed", "plain".to_owned(), 4));
        assert_eq!(decide("GET", "http://b.example/"), ("scheme_not_allowed", "method".to_owned(), 1));
    }

    #[test]
    fn what_a_proxy_needs_to_know_can_be_listed() {
        let policy = policy(
            "allowed_domains: [a.example]\n\
             rules:\n\
             - {id: one, effect: allow, hosts: ['*.b.example', a.example], ports: [8443, 443], addresses: [10.0.0.0/8, 127.0.0.1]}\n\
             - {id: two, effect: allow, hosts: [c.example], addresses: ['fd00::/8']}\n\
             - {id: three, effect: allow, hosts: [d.example], addresses: [127.0.0.1, 10.0.0.0/8]}\n\
             - {id: four, effect: deny, hosts: [never.example], ports: [22]}\n",
        );
        let mut hosts: Vec<HostPattern> = policy.hosts().collect();
        hosts.sort_unstable();
        let shown: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a.example", "c.example", "d.example", "*.b.example"]);
        let port = |number, scheme| Port { number, scheme };
        let ports: Vec<Port> = policy.ports().collect();
        assert_eq!(ports, [port(80, Scheme::Http), port(443, Scheme::Https), port(8443, Scheme::Https)]);
        let sets: Vec<String> = policy.address_sets().map(|set| format!("{set:?}")).collect();
        assert_eq!(sets, ["[10.0.0.0/8, 127.0.0.1/32]", "[fd00::/8]"]);
        let of_rules: Vec<Option<u16>> = policy.rules().map(|rule| rule.address_set()).collect();
        assert_eq!(of_rules, [None, Some(0), Some(1), Some(0), None]);
    }

    #[test]
    fn explaining_names_what_is_nearly_the_host() {
        let policy = policy(
            "rules: [{id: a, effect: allow, hosts: [example.com, '*.api.example.com', www.other.test]}]",
        );
        let near = |url: &str| {
            let target = Target::parse(url).expect("a URL");
            let (_, trace) = policy.explain(&target.request("GET"));
            trace.near.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(near("https://api.example.com/"), ["*.api.example.com", "example.com"]);
        assert_eq!(near("https://other.test/"), ["www.other.test"]);
        assert!(near("https://nothing.test/").is_empty());
    }

    #[test]
    fn a_trace_says_how_far_each_rule_came() {
        let policy = policy(
            "allowed_domains: [a.example]\nrules: [{id: b, effect: allow, hosts: [a.example], paths: [/b]}]",
        );
        let request = Request {
            sni: Some(b"a.example"),
            ..Target::parse("https://a.example/%61").expect("a URL").request("POST")
        };
        let (_, trace) = policy.explain(&request);
        let outcomes: Vec<Outcome> = trace.steps.iter().map(|step| step.outcome).collect();
        assert_eq!(outcomes, [Outcome::MethodDiffers, Outcome::PathDiffers]);
        assert_eq!(trace.path.as_deref(), Some("/a"));
    }

    #[test]
    fn json_is_read_as_well() {
        let policy = policy("{\n\t\"allowed_domains\": [\"a.example\"],\n\t\"rules\": []\n}\n");
        assert_eq!(reason(&policy, "GET", "https://a.example/"), Reason::Allowed);
    }

    #[test]
    fn the_same_policy_in_other_words_has_the_same_bytes() {
        let one = policy(
            "rules: [{id: a, effect: allow, hosts: [a.example, b.example], methods: [GET, PUT], ports: [1, 2]}]",
        );
        let other = policy(
            "# words\nrules:\n- ports: [2, 1]\n  methods: [PUT, 'GET']\n  hosts: [b.example, \"a.example\"]\n  id: a\n  effect: allow\n",
        );
        assert_eq!(one.as_bytes(), other.as_bytes());
        assert_eq!(one.version(), other.version());
    }

    #[test]
    fn all_faults_come_at_once_with_their_places() {
        let source = "\
allowed_domain: [a.example]
unrestricted_domains: [A.example, b.example, b.example, on, '*.c.example']
github_allowed_repos: [app, o/r.git, o/r, o/r]
aws_access_enabled: yes
rules:
  - id: one
    effect: permit
    hosts: [bücher.example, '127.1']
    ports: ['443', 0, 70000, 0x1bb]
    schemes: [ftp]
    methods: [get, 'G T', CONNECT]
    paths: [/a/../b, 'x?']
    addresses: [10.0.0.1/8]
    mode: reporting
  - id: one
    effect: allow
  - id: rules of two
    effect: deny
    hosts: []
    addresses: [127.0.0.1]
";
        let expected = [
            "1:1 allowed_domain: the key `allowed_domain` is unknown here",
            "2:24 unrestricted_domains[0]: `A.example` is not in canonical form, which is `a.example`",
            "2:46 unrestricted_domains[2]: `b.example` is already listed, as `unrestricted_domains[1]`",
            "2:57 unrestricted_domains[3]: this must be text, and it is a word that YAML readers take for a truth value or nothing",
            "2:61 unrestricted_domains[4]: `*.c.example` is a pattern, and this key takes exact hosts",
            "3:24 github_allowed_repos[0]: `app` is a repository without its owner",
            "3:29 github_allowed_repos[1]: `o/r.git` ends in `.git`",
            "3:43 github_allowed_repos[3]: `o/r` is already listed",
            "4:21 aws_access_enabled: this must be `true` or `false`, and it is a word that YAML readers take for a truth value or nothing",
            "7:13 rules[0].effect: `permit` is not known here",
            "8:13 rules[0].hosts[0]: `bücher.example` is not in canonical form, which is `xn--bcher-kva.example`",
            "8:29 rules[0].hosts[1]: `127.1` is not a host: the host ends in a number but is not an IPv4 address in four decimal octets",
            "9:13 rules[0].ports[0]: this must be a number, and it is text",
            "9:20 rules[0].ports[1]: `0` is not a port",
            "9:23 rules[0].ports[2]: `70000` is not a port",
            "9:30 rules[0].ports[3]: `0x1bb` is not a port",
            "10:15 rules[0].schemes[0]: `ftp` is not known here",
            "11:15 rules[0].methods[0]: `get` is not in canonical form, which is `GET`",
            "11:20 rules[0].methods[1]: `G T` is not a method: a method is 1 to 32 letters, digits, `-`, `_`, `.` or `+`",
            "11:27 rules[0].methods[2]: `CONNECT` is never a request of a rule",
            "12:13 rules[0].paths[0]: `/a/../b` is not in canonical form, which is `/b`",
            "12:22 rules[0].paths[1]: the path `x?` does not start with `/`",
            "13:17 rules[0].addresses[0]: `10.0.0.1/8` is not in canonical form, which is `10.0.0.0/8`",
            "14:11 rules[0].mode: `reporting` is not known here",
            "15:5 rules[1]: an allow rule needs `hosts`",
            "15:9 rules[1].id: the id `one` is taken by `rules[0]`",
            "17:9 rules[2].id: `rules of two` is not an id",
            "19:12 rules[2].hosts: the list is empty",
            "20:16 rules[2].addresses: a deny rule has no `addresses`",
        ];
        assert_eq!(faults(source), expected);
    }

    #[test]
    fn upstreams_are_numbered_in_their_order_and_shared() {
        let policy = policy(
            "rules:\n\
             - {id: one, effect: allow, hosts: [a.example], upstream: {host: 10.0.0.1, port: 8443, sni: b.example, names: [z.example, b.example], ca: ../roots.pem}}\n\
             - {id: two, effect: allow, hosts: [b.example], upstream: {sessions: none, client_certificate: c.pem, client_key: k.pem}}\n\
             - {id: three, effect: allow, hosts: [c.example], upstream: {names: [b.example, z.example], port: 8443, host: 10.0.0.1, sni: b.example, ca: ../roots.pem}}\n\
             - {id: four, effect: allow, hosts: [d.example]}\n",
        );
        let shown: Vec<String> = policy.upstreams().map(|upstream| format!("{upstream:?}")).collect();
        assert_eq!(
            shown,
            [
                "Upstream { host: Some(\"10.0.0.1\"), port: Some(8443), sni: Some(\"b.example\"), names: [\"b.example\", \"z.example\"], ca: Some(\"../roots.pem\"), client_certificate: None, client_key: None, sessions: Resume }",
                "Upstream { host: None, port: None, sni: None, names: [], ca: None, client_certificate: Some(\"c.pem\"), client_key: Some(\"k.pem\"), sessions: None }",
            ]
        );
        let of_rules: Vec<Option<u16>> = policy.rules().map(|rule| rule.upstream_number()).collect();
        assert_eq!(of_rules, [Some(0), Some(1), Some(0), None]);
        let target = Target::parse("https://b.example/").expect("a URL");
        assert_eq!(policy.decide(&target.request("GET")).upstream, Some(1));
        let target = Target::parse("https://b.example:9/").expect("a URL");
        assert_eq!(policy.decide(&target.request("GET")).upstream, None);
    }

    #[test]
    fn what_cannot_be_judged_or_done_is_a_fault() {
        let source = "\
rules:
  - id: one
    effect: deny
    tls: passthrough
    upstream: {host: a.example}
  - id: two
    effect: allow
    hosts: [a.example, '192.0.2.1']
    tls: passthrough
    methods: [GET]
    paths: [/]
    schemes: [http, https]
    upstream: {host: b.example, port: 8443, sni: b.example, sessions: none}
  - id: three
    effect: allow
    hosts: [c.example]
    tls: pass
    upstream: {}
  - id: four
    effect: allow
    hosts: [d.example]
    schemes: [http]
    upstream: {host: '*.e.example', port: 0, ca: roots.pem, tls: no}
  - id: five
    effect: allow
    hosts: [e.example]
    upstream:
      sni: 192.0.2.1
      names: [E.example, e.example, e.example, '[::1]', '*.e.example']
      ca: ''
      client_key: k.pem
      sessions: fresh
";
        let expected = [
            "4:10 rules[0].tls: a deny rule has no `tls`",
            "5:15 rules[0].upstream: a deny rule has no `upstream`",
            "8:24 rules[1].hosts[1]: a rule that passes TLS through has no address, as `192.0.2.1` is one",
            "10:14 rules[1].methods: a rule that passes TLS through has no `methods`",
            "11:12 rules[1].paths: a rule that passes TLS through has no `paths`",
            "12:14 rules[1].schemes: a rule that passes TLS through is about https alone",
            "13:50 rules[1].upstream.sni: this upstream has no `sni`",
            "13:71 rules[1].upstream.sessions: this upstream has no `sessions`",
            "17:10 rules[2].tls: `pass` is not known here",
            "18:15 rules[2].upstream: the upstream is empty",
            "23:22 rules[3].upstream.host: `*.e.example` is a pattern, and this is one host",
            "23:43 rules[3].upstream.port: `0` is not a port",
            "23:50 rules[3].upstream.ca: this upstream has no `ca`",
            "23:61 rules[3].upstream.tls: the key `tls` is unknown here",
            "28:12 rules[4].upstream.sni: `192.0.2.1` is an address, not a name",
            "29:15 rules[4].upstream.names[0]: `E.example` is not in canonical form, which is `e.example`",
            "29:37 rules[4].upstream.names[2]: this is already listed",
            "29:48 rules[4].upstream.names[3]: `[::1]` is an address, not a name",
            "29:57 rules[4].upstream.names[4]: `*.e.example` is a pattern, and this is one host",
            "30:11 rules[4].upstream.ca: this is not the path of a file",
            "31:19 rules[4].upstream.client_key: `client_key` without `client_certificate`",
            "32:17 rules[4].upstream.sessions: `fresh` is not known here",
        ];
        assert_eq!(faults(source), expected);
    }

    #[test]
    fn yaml_that_reads_two_ways_is_refused() {
        for (source, expected) in [
            ("rules: []\nrules: []", "2:1 rules: the key `rules` comes twice"),
            ("rules: &a []", "1:11 rules: anchors are not allowed in a policy"),
            ("rules: !x []", "1:11 rules: tags are not allowed in a policy"),
            ("rules: []\n---\nrules: []", "2:1 : a second document starts here"),
            ("", "1:1 : the document is empty"),
            ("# nothing\n", "1:1 : the document is empty"),
            ("{}", "1:1 : the document is empty"),
            ("- a", "1:1 : this must be a mapping, and it is a list"),
            ("rules:", "1:6 rules: this must be a list, and it is nothing"),
            ("rules: a.example", "1:8 rules: this must be a list, and it is text"),
            ("{[a]: b}", "1:2 : a key is text, and this is a list"),
            ("allowed_domains: [443]", "1:19 allowed_domains[0]: this must be text, and it is a number"),
        ] {
            assert!(faults(source).iter().any(|fault| fault == expected), "{source}: {:?}", faults(source));
        }
        let star = faults("allowed_domains:\n  - *.example.com\n  - b.example");
        assert_eq!(star, ["2:5 allowed_domains[0]: aliases are not allowed in a policy"]);
        let aliased = faults("allowed_domains: &a [a.example]\nunrestricted_domains: *a");
        assert_eq!(aliased.len(), 2, "{aliased:?}");
        for broken in
            ["rules: [", "rules: {]", "%YAML 1.2\n---\nrules: []", &"[".repeat(100_000), &"- ".repeat(1000)]
        {
            assert!(faults(broken).iter().any(|fault| fault.contains("this is not YAML")), "{broken:.20}");
        }
    }

    #[test]
    fn a_flood_of_faults_is_counted_and_not_kept() {
        let hosts =
            vec!["A.example"; 1].into_iter().chain((0..1000).map(|_| "*")).collect::<Vec<_>>().join("','");
        let faults = compile(&format!("allowed_domains: ['{hosts}']")).expect_err("faults");
        assert_eq!(faults.list.len(), crate::limits::FAULTS);
        assert_eq!(faults.list.len() + faults.omitted, 1001);
    }
}
