//! The policy document as written, parsed strictly.
//!
//! A document is first a tree of nodes with their places ([`node`], [`yaml`]). Then it becomes typed fields, each of
//! which is canonical or a fault ([`fields`], [`rule`] and one file for each kind of value). The parser skips nothing
//! and repairs nothing. It collects all faults, and a document with one fault makes no policy.

mod data_keys;
pub(crate) mod fields;
mod host;
mod network;
pub(crate) mod node;
mod path;
mod rego;
mod regular_expression;
mod rule;
pub(crate) mod scalar;
mod suggestion;
mod upstream;
pub(crate) mod yaml;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ipnet::IpNet;

use crate::fault::{At, Collector};
use crate::limits;
use crate::mode::Mode;
use crate::resolved_rule::ResolvedHost;
use fields::{Fields, Known, choice, list, set};
use host::Kinds;
use node::{Node, Value};

pub(crate) use data_keys::{AwsKeys, GithubKeys};
pub use node::Spanned;
pub use rego::RegoFiles;
pub(crate) use rule::RuleDocument;

/// The content of a document, with every value canonical.
#[derive(Debug, Default)]
pub(crate) struct PolicyDocument<'s> {
    /// The mode of rules that set none.
    pub(crate) mode: Mode,
    /// The addresses of allow rules that list none.
    pub(crate) addresses: Option<Spanned<Arc<BTreeSet<IpNet>>>>,
    /// Hosts that allow GET and HEAD.
    pub(crate) allowed_domains: Vec<ResolvedHost<'s>>,
    /// Hosts that allow any method.
    pub(crate) unrestricted_domains: Vec<ResolvedHost<'s>>,
    /// Read and write access to GitHub.
    pub(crate) github: GithubKeys<'s>,
    /// Access to AWS services.
    pub(crate) aws: AwsKeys<'s>,
    /// The Rego policy whose decision must also be allow.
    pub(crate) rego: Option<RegoFiles>,
    /// The rules, in the document's order.
    pub(crate) rules: Vec<RuleDocument<'s>>,
}

/// The keys of the data document. A rule made from a key is named after it, sometimes with a suffix after a slash.
const DATA_KEYS: [&str; 7] = [
    "allowed_domains",
    "unrestricted_domains",
    "github_read_access_enabled",
    "github_allowed_repos",
    "github_allowed_users",
    "aws_access_enabled",
    "aws_allowed_services",
];

/// The id of the rule that leaves all decisions to a Rego policy.
pub(crate) const REGO_RULE: &str = "rego";

const KEYS: Known = {
    const KEYS: [&str; 11] = {
        let [a, b, c, d, e, f, g] = DATA_KEYS;
        [a, b, c, d, e, f, g, "addresses", "mode", "rego", "rules"]
    };
    Known { keys: &KEYS }
};

impl<'s> PolicyDocument<'s> {
    pub(crate) fn read(root: &Node<'s>, faults: &mut Collector) -> PolicyDocument<'s> {
        let at = At::Root;
        let mut document = PolicyDocument::default();
        let Some(fields) = Fields::read(root, &at, &KEYS, faults) else { return document };
        if matches!(&root.value, Value::Map(entries) if entries.is_empty()) {
            let help = "write `rules: []` for a policy that allows nothing";
            faults.report(root.span.clone(), &at, "the document is empty", Some(help.to_owned()));
        }
        if let Some(node) = fields.get("allowed_domains") {
            document.allowed_domains = domains(node, &At::Key(&at, "allowed_domains"), faults);
        }
        if let Some(node) = fields.get("unrestricted_domains") {
            document.unrestricted_domains = domains(node, &At::Key(&at, "unrestricted_domains"), faults);
        }
        if let Some(node) = fields.get("mode") {
            document.mode = mode(node, &At::Key(&at, "mode"), faults).unwrap_or_default();
        }
        if let Some(node) = fields.get("rego") {
            document.rego = RegoFiles::read(node, &At::Key(&at, "rego"), faults);
        }
        if let Some(node) = fields.get("addresses") {
            let at = At::Key(&at, "addresses");
            let value = set(node, &at, faults, network::net);
            if value.len() > limits::DOCUMENT_ADDRESSES {
                let message = format!("the list has more than {} ranges", limits::DOCUMENT_ADDRESSES);
                faults.report(node.span.clone(), &at, message, Some("list wider ranges".to_owned()));
            }
            document.addresses = Some(Spanned { value: Arc::new(value), span: node.span.clone() });
        }
        document.github = GithubKeys::read(&fields, &at, faults);
        document.aws = AwsKeys::read(&fields, &at, faults);
        if let Some(node) = fields.get("rules") {
            let at = At::Key(&at, "rules");
            for (index, node) in list(node, &at, faults).unwrap_or_default().iter().enumerate() {
                let has_addresses = document.addresses.is_some();
                let rule = RuleDocument::read(node, &At::Index(&at, index), has_addresses, faults);
                document.rules.extend(rule);
            }
            refuse_duplicate_ids(&document.rules, &at, faults);
        }
        document
    }
}

fn mode(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<Mode> {
    choice(node, at, &Mode::ALL.map(|mode| (mode.as_str(), mode)), faults)
}

/// Reads the list of a data key: exact hosts. It may be empty, because that is the key's default.
fn domains<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Vec<ResolvedHost<'s>> {
    host::hosts(node, at, Kinds::Exact, faults).into_iter().map(|host| host.value).collect()
}

fn refuse_duplicate_ids(rules: &[RuleDocument<'_>], at: &At<'_>, faults: &mut Collector) {
    let mut seen: HashMap<&Cow<'_, str>, String> = HashMap::new();
    for rule in rules {
        let Some(id) = &rule.id else { continue };
        if let Some(first) = seen.get(&id.value) {
            let message = format!("the id `{}` is taken by `{first}`", id.value);
            let at = At::Index(at, rule.index);
            faults.report(
                id.span.clone(),
                &At::Key(&at, "id"),
                message,
                Some("give each rule its own id".to_owned()),
            );
        } else {
            seen.insert(&id.value, At::Index(at, rule.index).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compile;

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
            "11:27 rules[0].methods[2]: `CONNECT` is not a method of a rule",
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
    fn a_rule_that_cannot_be_carried_out_is_a_fault() {
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
            "12:14 rules[1].schemes: a rule that passes TLS through covers only https",
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
