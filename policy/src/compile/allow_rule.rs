//! Allow rules that come from data keys.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};
use crate::scheme::Scheme;
use crate::tls::Tls;

/// An allow rule with the defaults of one: https on its default port, every path, public addresses.
pub(super) fn allow_https<'s>(
    id: &'static str,
    hosts: Vec<ResolvedHost<'s>>,
    methods: BTreeSet<Cow<'s, str>>,
) -> ResolvedRule<'s> {
    ResolvedRule {
        id: Cow::Borrowed(id),
        effect: Effect::Allow,
        hosts: Some(hosts),
        schemes: BTreeSet::from([Scheme::Https]),
        ports: ResolvedPorts::Default,
        methods,
        paths: BTreeSet::new(),
        git: GitScope::Any,
        mode: Mode::Enforce,
        addresses: Arc::default(),
        tls: Tls::Intercept,
        upstream: None,
    }
}

/// A set of methods.
pub(super) fn methods<'s>(methods: &[&'static str]) -> BTreeSet<Cow<'s, str>> {
    methods.iter().map(|method| Cow::Borrowed(*method)).collect()
}

/// An exact host.
pub(super) fn exact<'s>(name: impl Into<Cow<'s, str>>) -> ResolvedHost<'s> {
    ResolvedHost { name: name.into(), below: false }
}
