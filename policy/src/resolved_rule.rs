//! Rules between the document and the wire form: every value is canonical, and every default is filled in.

use core::fmt;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;

use crate::effect::Effect;
use crate::git::GitScope;
use crate::mode::Mode;
use crate::path::pattern::PatternKind;
use crate::scheme::Scheme;
use crate::sessions::Sessions;
use crate::tls::Tls;

/// A rule that is ready for the wire form.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedRule<'s> {
    pub(crate) id: Cow<'s, str>,
    pub(crate) effect: Effect,
    /// `None` means every host.
    pub(crate) hosts: Option<Vec<ResolvedHost<'s>>>,
    pub(crate) schemes: BTreeSet<Scheme>,
    pub(crate) ports: ResolvedPorts,
    /// Empty means any method.
    pub(crate) methods: BTreeSet<Cow<'s, str>>,
    /// Empty means any path.
    pub(crate) paths: BTreeSet<(String, PatternKind)>,
    /// The git operations that the rule covers.
    pub(crate) git: GitScope,
    pub(crate) mode: Mode,
    /// Shared, because the default of a document is in every rule.
    pub(crate) addresses: Arc<BTreeSet<IpNet>>,
    pub(crate) tls: Tls,
    pub(crate) upstream: Option<ResolvedUpstream<'s>>,
}

/// A rule's own upstream. Every text is canonical, or a file name as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResolvedUpstream<'s> {
    pub(crate) host: Option<Cow<'s, str>>,
    pub(crate) port: Option<u16>,
    pub(crate) sni: Option<Cow<'s, str>>,
    pub(crate) names: BTreeSet<Cow<'s, str>>,
    pub(crate) ca: Option<Cow<'s, str>>,
    pub(crate) client_certificate: Option<Cow<'s, str>>,
    pub(crate) client_key: Option<Cow<'s, str>>,
    pub(crate) sessions: Sessions,
}

/// A host pattern. Patterns are ordered by name first, so that both kinds of one name are neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResolvedHost<'s> {
    pub(crate) name: Cow<'s, str>,
    /// Whether the pattern covers the names below `name` instead of the name itself.
    pub(crate) below: bool,
}

impl fmt::Display for ResolvedHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

/// The ports that a rule covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResolvedPorts {
    /// The scheme's default port.
    Default,
    /// The listed ports.
    Listed(BTreeSet<u16>),
    /// All ports.
    Any,
}
