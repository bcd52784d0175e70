//! Which rules may cover another one, found by the rarest thing that the other one names.
//!
//! A rule that covers another names each host, path, port and method of it, in some way. So whoever looks for such rules
//! looks through those alone that name the rarest of them, and many rules for one host, one path or one port cost little.
//! [`Work`] counts what is looked at and bounds it where every single thing is named by many rules.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::shadow::{Pattern, above, pattern};
use crate::path::pattern::{PatternKind, folded};
use crate::scheme::Scheme;
use crate::tls::Tls;
use crate::wire::writer::{Draft, DraftHost, DraftPorts};

/// Steps that are taken for one document. What is left then is not looked at.
const STEPS: usize = 2_000_000;

/// How much was looked at.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) steps: usize,
}

impl Work {
    /// Counts steps; false when there were too many.
    pub(super) fn take(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_add(steps);
        self.steps <= STEPS
    }
}

/// Something that a rule names. Texts of paths are hashes: two of the same hash only cost a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key<'d> {
    EveryHost,
    Host(Pattern<'d>),
    EveryPath,
    ExactPath(u64),
    /// Everything below.
    Prefix(u64),
    /// A pattern with `{…}`, under its rarest segment that is none.
    Segment(u64),
    /// A pattern of `{…}` alone.
    NoSegment,
    EveryPort,
    DefaultPort,
    Port(u16),
    EveryMethod,
    Method(&'d str),
}

/// The rules under each thing that they name.
pub(super) struct Index<'d> {
    rules: HashMap<Key<'d>, Vec<usize>>,
}

impl<'d> Index<'d> {
    pub(super) fn new(drafts: &'d [Draft<'d>]) -> Index<'d> {
        let mut frequency: HashMap<u64, usize> = HashMap::new();
        for (text, kind) in drafts.iter().flat_map(|draft| &draft.paths).filter(|(_, kind)| kind.parameters) {
            for segment in literals(text, *kind) {
                let count = frequency.entry(segment).or_default();
                *count = count.saturating_add(1);
            }
        }
        let mut rules: HashMap<Key<'d>, Vec<usize>> = HashMap::new();
        for (index, draft) in drafts.iter().enumerate() {
            for key in keys(draft, &frequency) {
                let under = rules.entry(key).or_default();
                if under.last() != Some(&index) {
                    under.push(index);
                }
            }
        }
        Index { rules }
    }

    /// The first rule of the document that covers a draft on these hosts, where none is every host. Asks `covers` about
    /// those that may, and finds nothing when it is too much work to say.
    pub(super) fn first<'q>(
        &self,
        mut hosts: impl Iterator<Item = Option<&'q DraftHost<'q>>>,
        draft: &'q Draft<'_>,
        work: &mut Work,
        mut covers: impl FnMut(usize, &mut Work) -> bool,
    ) -> Option<usize>
    where
        'd: 'q,
    {
        let mut rarest: Option<(usize, Vec<Key<'_>>)> = None;
        let mut consider = |keys: Vec<Key<'q>>| {
            let known = work.take(keys.len());
            let count = keys.iter().filter_map(|key| self.get(key)).map(<[usize]>::len).sum();
            if rarest.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
                rarest = Some((count, keys));
            }
            known
        };
        let mut known = hosts.all(|host| consider(host_keys(host)));
        for keys in port_keys(draft) {
            known &= consider(keys);
        }
        // What is passed through is denied by rules about any path and method.
        if draft.tls == Tls::Intercept {
            match draft.methods.is_empty() {
                true => known &= consider(vec![Key::EveryMethod]),
                false => {
                    for method in &draft.methods {
                        known &= consider(vec![Key::EveryMethod, Key::Method(method)]);
                    }
                }
            }
            match draft.paths.is_empty() {
                true => known &= consider(vec![Key::EveryPath]),
                false => {
                    for (text, kind) in &draft.paths {
                        known &= consider(path_keys(text, *kind));
                    }
                }
            }
        }
        let (_, keys) = rarest.filter(|_| known)?;
        let mut lists: Vec<&[usize]> = keys.iter().filter_map(|key| self.get(key)).collect();
        while let Some(rule) = lists.iter().filter_map(|list| list.first()).min().copied() {
            if !work.take(1) {
                return None;
            }
            if covers(rule, work) {
                return Some(rule);
            }
            for list in &mut lists {
                if let [first, rest @ ..] = list
                    && *first == rule
                {
                    *list = rest;
                }
            }
        }
        None
    }

    fn get<'x, 'q: 'x>(&'x self, key: &Key<'q>) -> Option<&'x [usize]>
    where
        'd: 'q,
    {
        let rules: &HashMap<Key<'q>, Vec<usize>> = &self.rules;
        rules.get(key).map(Vec::as_slice)
    }
}

/// What a rule is found under.
fn keys<'d>(draft: &'d Draft<'d>, frequency: &HashMap<u64, usize>) -> Vec<Key<'d>> {
    let mut keys = Vec::new();
    match &draft.hosts {
        None => keys.push(Key::EveryHost),
        Some(hosts) => keys.extend(hosts.iter().map(|host| Key::Host(pattern(host)))),
    }
    match &draft.ports {
        DraftPorts::Any => keys.push(Key::EveryPort),
        DraftPorts::Default => keys.push(Key::DefaultPort),
        DraftPorts::Listed(ports) => keys.extend(ports.iter().map(|port| Key::Port(*port))),
    }
    match draft.methods.is_empty() {
        true => keys.push(Key::EveryMethod),
        false => keys.extend(draft.methods.iter().map(|method| Key::Method(method))),
    }
    if draft.paths.is_empty() {
        keys.push(Key::EveryPath);
    }
    for (text, kind) in &draft.paths {
        keys.push(match (kind.parameters, kind.prefix) {
            (true, _) => literals(text, *kind)
                .min_by_key(|segment| frequency.get(segment).copied().unwrap_or_default())
                .map_or(Key::NoSegment, Key::Segment),
            (false, true) => Key::Prefix(segments(text, *kind).fold(0, extend)),
            (false, false) => Key::ExactPath(segments(text, *kind).fold(0, extend)),
        });
    }
    keys
}

/// What a rule that names everything of a host is found under.
fn host_keys<'q>(host: Option<&'q DraftHost<'q>>) -> Vec<Key<'q>> {
    core::iter::once(Key::EveryHost).chain(host.into_iter().flat_map(above).map(Key::Host)).collect()
}

/// What a rule that names everything of a path is found under.
fn path_keys<'q>(text: &str, kind: PatternKind) -> Vec<Key<'q>> {
    let mut keys = vec![Key::EveryPath, Key::NoSegment, Key::Prefix(0)];
    keys.extend(literals(text, kind).map(Key::Segment));
    let mut hash = 0;
    for segment in segments(text, kind) {
        hash = extend(hash, segment);
        keys.push(Key::Prefix(hash));
    }
    if !kind.prefix {
        // A path is not below itself.
        keys.pop();
        keys.push(Key::ExactPath(hash));
    }
    keys
}

/// What a rule that names everything of a port is found under, for each port of a rule.
fn port_keys<'q>(draft: &Draft<'_>) -> Vec<Vec<Key<'q>>> {
    let of = |port: u16| {
        let default = Scheme::ALL.into_iter().any(|scheme| scheme.default_port() == port);
        [Key::EveryPort, Key::Port(port)].into_iter().chain(default.then_some(Key::DefaultPort)).collect()
    };
    match &draft.ports {
        DraftPorts::Any => vec![vec![Key::EveryPort]],
        DraftPorts::Default => draft.schemes.iter().map(|scheme| of(scheme.default_port())).collect(),
        DraftPorts::Listed(ports) => ports.iter().map(|port| of(*port)).collect(),
    }
}

/// The segments of a pattern, without the last one of a prefix, which stands for any rest.
fn segments(text: &str, kind: PatternKind) -> impl Iterator<Item = &str> {
    let text = if kind.prefix { text.strip_suffix('/').unwrap_or(text) } else { text };
    text.split('/').skip(1)
}

/// A hash of each segment that is not `{…}`, and of its place.
fn literals(text: &str, kind: PatternKind) -> impl Iterator<Item = u64> {
    let places = (1u64..).zip(segments(text, kind));
    places.filter(|(_, segment)| !segment.starts_with('{')).map(|(place, segment)| extend(place, segment))
}

/// The hash of a text with one segment more; letters of both cases are the same, as they are in some pattern.
fn extend(hash: u64, segment: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash.hash(&mut hasher);
    folded(segment.as_bytes()).for_each(|letter| letter.hash(&mut hasher));
    hasher.finish()
}
