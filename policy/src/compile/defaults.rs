//! The defaults of rules, and the rules that the data keys become.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;

use super::allow_rule::{allow_https, methods};
use super::{aws, github};
use crate::document::{PolicyDocument, REGO_RULE, RuleDocument};
use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};
use crate::scheme::Scheme;
use crate::tls::Tls;

/// Resolves the data keys and the key `rego` to rules, and returns the entries of `rules` unresolved.
pub(super) fn rules_of_keys(document: PolicyDocument<'_>) -> (Vec<ResolvedRule<'_>>, Vec<RuleDocument<'_>>) {
    let PolicyDocument { mode, addresses, allowed_domains, unrestricted_domains, github, aws, rego, rules } =
        document;
    let addresses = addresses.map(|addresses| addresses.value).unwrap_or_default();
    let domains = [
        domains("allowed_domains", allowed_domains, methods(&["GET", "HEAD"])),
        domains("unrestricted_domains", unrestricted_domains, BTreeSet::new()),
    ];
    let of_keys = domains.into_iter().flatten().chain(github::rules(github)).chain(aws::rules(aws));
    let mut of_keys: Vec<ResolvedRule<'_>> =
        of_keys.map(|rule| ResolvedRule { mode, addresses: Arc::clone(&addresses), ..rule }).collect();
    let judges = |rule: &RuleDocument<'_>| {
        rule.effect == Some(Effect::Allow) && rule.tls.unwrap_or_default() == Tls::Intercept
    };
    if rego.is_some() && of_keys.is_empty() && !rules.iter().any(judges) {
        of_keys.push(ResolvedRule { mode, addresses, ..rego_rule() });
    }
    (of_keys, rules)
}

/// The allow rule of a document that leaves all decisions to its Rego policy: every name, on the default ports.
fn rego_rule() -> ResolvedRule<'static> {
    ResolvedRule {
        hosts: None,
        schemes: BTreeSet::from(Scheme::ALL),
        ..allow_https(REGO_RULE, Vec::new(), BTreeSet::new())
    }
}

/// The rule of a data key. An empty list gives no rule, because a rule without hosts would cover every host.
fn domains<'s>(
    key: &'static str,
    hosts: Vec<ResolvedHost<'s>>,
    methods: BTreeSet<Cow<'s, str>>,
) -> Option<ResolvedRule<'s>> {
    (!hosts.is_empty())
        .then(|| ResolvedRule { schemes: BTreeSet::from(Scheme::ALL), ..allow_https(key, hosts, methods) })
}

/// Resolves an entry of `rules`: fills in the defaults of omitted keys. `addresses_of_document` are the addresses of allow
/// rules that list none.
pub(crate) fn resolve<'s>(
    rule: RuleDocument<'s>,
    mode_of_document: Mode,
    addresses_of_document: Option<&Arc<BTreeSet<IpNet>>>,
) -> Option<ResolvedRule<'s>> {
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
        Effect::Allow => (BTreeSet::from([Scheme::Https]), ResolvedPorts::Default),
        Effect::Deny => (BTreeSet::from(Scheme::ALL), ResolvedPorts::Any),
    };
    let default_mode = match (effect, mode_of_document) {
        // Open mode forwards requests that no rule matches. Deny rules still apply.
        (Effect::Deny, Mode::Open) => Mode::Enforce,
        (Effect::Allow | Effect::Deny, mode) => mode,
    };
    Some(ResolvedRule {
        id: id?.value,
        effect,
        hosts,
        schemes: schemes.unwrap_or(default_schemes),
        ports: ports.map_or(default_ports, ResolvedPorts::Listed),
        methods: methods.unwrap_or_default(),
        paths: paths.unwrap_or_default(),
        git: GitScope::Any,
        mode: mode.unwrap_or(default_mode),
        addresses: match effect {
            Effect::Allow => {
                addresses.map(Arc::new).or_else(|| addresses_of_document.cloned()).unwrap_or_default()
            }
            Effect::Deny => Arc::default(),
        },
        tls: tls.unwrap_or_default(),
        upstream,
    })
}
