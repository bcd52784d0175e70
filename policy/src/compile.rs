//! From a document to a policy: defaults are filled in, data keys become rules.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::decision::Effect;
use crate::document::{PolicyDocument, RuleDocument, yaml};
use crate::fault::{At, Collector, Faults};
use crate::policy::Policy;
use crate::scheme::Scheme;
use crate::wire::writer::{self, Draft, DraftHost, DraftPorts};

/// Compiles the text of a policy document, YAML or JSON.
///
/// | key | what it becomes |
/// |---|---|
/// | `allowed_domains` | an allow rule of that id: GET and HEAD to these exact hosts, over both schemes on their ports |
/// | `unrestricted_domains` | the same with any method |
/// | `rules` | each a rule: `id` and `effect`, and optionally the rest |
/// | `hosts` | exact, or `*.example.com`: one or more labels below, never the bare name. An allow rule needs it; a deny rule without it is about every host |
/// | `schemes` | default: https for allow, both for deny |
/// | `ports` | default: the scheme's own for allow, all for deny |
/// | `methods` | default: any |
/// | `paths` | default: any; `/exact`, `/prefix/*` (everything below, `/prefix/` included), `/a/{one-segment}/b` |
/// | `addresses` | allow only: ranges that the names may resolve to although they are not public |
///
/// A deny rule is wide where it is silent and an allow rule narrow: what is left out never lets more through.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile(source: &str) -> Result<Policy, Faults> {
    let mut faults = Collector::default();
    let drafts = drafts(source, &mut faults);
    let mut policy = Policy::deny_all();
    if faults.is_empty() {
        let written = writer::write(&drafts).map_err(|error| error.to_string());
        match written.and_then(|bytes| Policy::from_bytes(bytes).map_err(|error| error.to_string())) {
            Ok(compiled) => policy = compiled,
            Err(error) => faults.report(0..0, &At::Root, error, None),
        }
    }
    faults.finish(source, policy)
}

/// The rules of a document; only meaningful when no fault was found.
pub(crate) fn drafts<'s>(source: &'s str, faults: &mut Collector) -> Vec<Draft<'s>> {
    let Some(root) = yaml::read(source, faults) else { return Vec::new() };
    root.inspect(&At::Root, faults);
    let PolicyDocument { allowed_domains, unrestricted_domains, rules } = PolicyDocument::read(&root, faults);
    let read_only = BTreeSet::from([Cow::Borrowed("GET"), Cow::Borrowed("HEAD")]);
    let data = [
        domains("allowed_domains", allowed_domains, read_only),
        domains("unrestricted_domains", unrestricted_domains, BTreeSet::new()),
    ];
    data.into_iter().flatten().chain(rules.into_iter().filter_map(draft)).collect()
}

/// The rule that a data key becomes; none for an empty list, because a rule without hosts would be about all of them.
fn domains<'s>(
    key: &'static str,
    hosts: Vec<DraftHost<'s>>,
    methods: BTreeSet<Cow<'s, str>>,
) -> Option<Draft<'s>> {
    (!hosts.is_empty()).then(|| Draft {
        id: Cow::Borrowed(key),
        effect: Effect::Allow,
        hosts: Some(hosts),
        schemes: BTreeSet::from(Scheme::ALL),
        ports: DraftPorts::Default,
        methods,
        paths: BTreeSet::new(),
        addresses: BTreeSet::new(),
    })
}

fn draft(rule: RuleDocument<'_>) -> Option<Draft<'_>> {
    let RuleDocument { index: _, id, effect, hosts, ports, schemes, methods, paths, addresses } = rule;
    let effect = effect?;
    let (default_schemes, default_ports) = match effect {
        Effect::Allow => (BTreeSet::from([Scheme::Https]), DraftPorts::Default),
        Effect::Deny => (BTreeSet::from(Scheme::ALL), DraftPorts::Any),
    };
    Some(Draft {
        id: id?.value,
        effect,
        hosts,
        schemes: schemes.unwrap_or(default_schemes),
        ports: ports.map_or(default_ports, DraftPorts::Listed),
        methods: methods.unwrap_or_default(),
        paths: paths.unwrap_or_default(),
        addresses: addresses.unwrap_or_default(),
    })
}
