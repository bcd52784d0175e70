//! An index of the rules, to find the rules that may cover another one.
//!
//! A rule that covers another one covers each of its hosts, paths, ports and methods. So the search visits only the rules
//! that cover the rarest of these values, and many rules for one host, path or port cost little. [`Work`] bounds the
//! search where many rules cover every single value.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::coverage::{HostKey, covering_keys, host_key};
use crate::path::pattern::{PatternKind, folded};
use crate::resolved_rule::{ResolvedHost, ResolvedPorts, ResolvedRule};
use crate::scheme::Scheme;
use crate::tls::Tls;

/// The number of steps for one document. The search examines nothing after them.
const STEPS: usize = 2_000_000;

/// The steps that a search has taken.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) steps: usize,
}

impl Work {
    /// Counts steps. Returns false if there were too many.
    pub(super) fn take(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_add(steps);
        self.steps <= STEPS
    }
}

/// A value of a rule. A hash stands for the text of a path: two texts with equal hashes only cost a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key<'r> {
    EveryHost,
    Host(HostKey<'r>),
    EveryPath,
    ExactPath(u64),
    /// Everything below a path.
    Prefix(u64),
    /// A pattern with `{…}`, indexed by its rarest literal segment.
    Segment(u64),
    /// A pattern without literal segments.
    NoSegment,
    EveryPort,
    DefaultPort,
    Port(u16),
    EveryMethod,
    Method(&'r str),
}

/// The rules, indexed by each of their values.
pub(super) struct Index<'r> {
    rules: HashMap<Key<'r>, Vec<usize>>,
}

impl<'r> Index<'r> {
    pub(super) fn new(document: &'r [ResolvedRule<'r>]) -> Index<'r> {
        let mut frequency: HashMap<u64, usize> = HashMap::new();
        for (text, kind) in document.iter().flat_map(|rule| &rule.paths).filter(|(_, kind)| kind.parameters) {
            for segment in literals(text, *kind) {
                let count = frequency.entry(segment).or_default();
                *count = count.saturating_add(1);
            }
        }
        let mut rules: HashMap<Key<'r>, Vec<usize>> = HashMap::new();
        for (position, rule) in document.iter().enumerate() {
            for key in keys(rule, &frequency) {
                let indexed = rules.entry(key).or_default();
                if indexed.last() != Some(&position) {
                    indexed.push(position);
                }
            }
        }
        Index { rules }
    }

    /// Returns the first rule in the document's order that covers a rule on these hosts. The host `None` means every host.
    /// `covers` compares each candidate. The result is `None` if the search takes too much work.
    pub(super) fn first<'q>(
        &self,
        mut hosts: impl Iterator<Item = Option<&'q ResolvedHost<'q>>>,
        rule: &'q ResolvedRule<'_>,
        work: &mut Work,
        mut covers: impl FnMut(usize, &mut Work) -> bool,
    ) -> Option<usize>
    where
        'r: 'q,
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
        for keys in port_keys(rule) {
            known &= consider(keys);
        }
        // A deny rule for a passed-through connection denies it whatever its methods and paths.
        if rule.tls == Tls::Intercept {
            match rule.methods.is_empty() {
                true => known &= consider(vec![Key::EveryMethod]),
                false => {
                    for method in &rule.methods {
                        known &= consider(vec![Key::EveryMethod, Key::Method(method)]);
                    }
                }
            }
            match rule.paths.is_empty() {
                true => known &= consider(vec![Key::EveryPath]),
                false => {
                    for (text, kind) in &rule.paths {
                        known &= consider(path_keys(text, *kind));
                    }
                }
            }
        }
        let (_, keys) = rarest.filter(|_| known)?;
        let mut lists: Vec<&[usize]> = keys.iter().filter_map(|key| self.get(key)).collect();
        while let Some(position) = lists.iter().filter_map(|list| list.first()).min().copied() {
            if !work.take(1) {
                return None;
            }
            if covers(position, work) {
                return Some(position);
            }
            for list in &mut lists {
                if let [first, rest @ ..] = list
                    && *first == position
                {
                    *list = rest;
                }
            }
        }
        None
    }

    fn get<'x, 'q: 'x>(&'x self, key: &Key<'q>) -> Option<&'x [usize]>
    where
        'r: 'q,
    {
        let rules: &HashMap<Key<'q>, Vec<usize>> = &self.rules;
        rules.get(key).map(Vec::as_slice)
    }
}

/// Returns the keys under which a rule is indexed.
fn keys<'r>(rule: &'r ResolvedRule<'r>, frequency: &HashMap<u64, usize>) -> Vec<Key<'r>> {
    let mut keys = Vec::new();
    match &rule.hosts {
        None => keys.push(Key::EveryHost),
        Some(hosts) => keys.extend(hosts.iter().map(|host| Key::Host(host_key(host)))),
    }
    match &rule.ports {
        ResolvedPorts::Any => keys.push(Key::EveryPort),
        ResolvedPorts::Default => keys.push(Key::DefaultPort),
        ResolvedPorts::Listed(ports) => keys.extend(ports.iter().map(|port| Key::Port(*port))),
    }
    match rule.methods.is_empty() {
        true => keys.push(Key::EveryMethod),
        false => keys.extend(rule.methods.iter().map(|method| Key::Method(method))),
    }
    if rule.paths.is_empty() {
        keys.push(Key::EveryPath);
    }
    for (text, kind) in &rule.paths {
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

/// Returns the keys of rules that may cover a host.
fn host_keys<'q>(host: Option<&'q ResolvedHost<'q>>) -> Vec<Key<'q>> {
    core::iter::once(Key::EveryHost).chain(host.into_iter().flat_map(covering_keys).map(Key::Host)).collect()
}

/// Returns the keys of rules that may cover a path.
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

/// Returns, for each port of a rule, the keys of rules that may cover that port.
fn port_keys<'q>(rule: &ResolvedRule<'_>) -> Vec<Vec<Key<'q>>> {
    let of = |port: u16| {
        let default = Scheme::ALL.into_iter().any(|scheme| scheme.default_port() == port);
        [Key::EveryPort, Key::Port(port)].into_iter().chain(default.then_some(Key::DefaultPort)).collect()
    };
    match &rule.ports {
        ResolvedPorts::Any => vec![vec![Key::EveryPort]],
        ResolvedPorts::Default => rule.schemes.iter().map(|scheme| of(scheme.default_port())).collect(),
        ResolvedPorts::Listed(ports) => ports.iter().map(|port| of(*port)).collect(),
    }
}

/// Returns the segments of a pattern. The last segment of a prefix stands for any rest, and is left out.
fn segments(text: &str, kind: PatternKind) -> impl Iterator<Item = &str> {
    let text = if kind.prefix { text.strip_suffix('/').unwrap_or(text) } else { text };
    text.split('/').skip(1)
}

/// Hashes each literal segment with its position.
fn literals(text: &str, kind: PatternKind) -> impl Iterator<Item = u64> {
    let places = (1u64..).zip(segments(text, kind));
    places.filter(|(_, segment)| !segment.starts_with('{')).map(|(place, segment)| extend(place, segment))
}

/// Extends the hash of a path by one segment. Both cases of a letter give equal hashes, because some patterns ignore case.
fn extend(hash: u64, segment: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash.hash(&mut hasher);
    folded(segment.as_bytes()).for_each(|letter| letter.hash(&mut hasher));
    hasher.finish()
}
