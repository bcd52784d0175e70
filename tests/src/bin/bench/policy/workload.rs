//! Policies and requests that are equal in every run.

use anyhow::Result;
use weir_policy::Policy;

/// The number of hosts in a hot set, which are requested again and again.
const HOT: usize = 64;
/// The number of hosts in a cold set, which are requested once each.
const COLD: usize = 50_000;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A listed host, one of a few.
    Hit,
    /// An unlisted host.
    Miss,
    /// A host below a listed name.
    Below,
    /// A host whose rule lists paths.
    Path,
    /// A different listed host each time.
    ColdHit,
    /// A different unlisted host each time.
    ColdMiss,
}

impl Kind {
    pub(super) const ALL: [Kind; 6] =
        [Kind::Hit, Kind::Miss, Kind::Below, Kind::Path, Kind::ColdHit, Kind::ColdMiss];

    /// The kind's name in a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Hit => "hit",
            Kind::Miss => "miss",
            Kind::Below => "wildcard",
            Kind::Path => "path rule",
            Kind::ColdHit => "hit, cold",
            Kind::ColdMiss => "miss, cold",
        }
    }

    /// Returns whether the policy allows every request of this kind.
    pub(super) fn allows(self) -> bool {
        !matches!(self, Kind::Miss | Kind::ColdMiss)
    }
}

/// A policy of some size, and requests to it.
pub(super) struct Workload {
    pub(super) policy: Policy,
    size: usize,
    name_bytes: usize,
}

impl Workload {
    /// Compiles a policy with this many hosts: nine in ten are exact names, one in ten is a wildcard.
    pub(super) fn new(size: usize) -> Result<Self> {
        let list = |keep: fn(usize) -> bool, star: &str| {
            let hosts: Vec<String> =
                (0..size).filter(|host| keep(*host)).map(|host| format!("'{star}{}'", name(host))).collect();
            hosts.join(",")
        };
        let document = format!(
            "rules:\n\
             - {{id: exact, effect: allow, methods: [GET], hosts: [{}]}}\n\
             - {{id: below, effect: allow, methods: [GET], hosts: [{}]}}\n\
             - {{id: paths, effect: allow, hosts: [paths.example], paths: [/a, '/b/*', '/c/{{x}}/d', '/e/f/*']}}\n\
             - {{id: never, effect: deny, methods: [PUT, DELETE], paths: ['/admin/*']}}\n",
            list(|host| !is_below(host), ""),
            list(is_below, "*."),
        );
        let policy = weir_policy::compile(&document)?;
        Ok(Self { policy, size, name_bytes: (0..size).map(|host| name(host).len()).sum() })
    }

    /// The authorities of the requests, and the path that they share.
    pub(super) fn requests(&self, kind: Kind) -> (Vec<String>, &'static str) {
        let exact = |count: usize, seed: u64| {
            let hosts = (0u64..).map(move |draw| index(mix(draw ^ seed), self.size));
            hosts.filter(|host| !is_below(*host)).take(count).map(name)
        };
        let other = |count: usize, seed: u64| {
            (0u64..).map(move |draw| name(self.size + index(mix(draw ^ seed), self.size))).take(count)
        };
        match kind {
            Kind::Hit => (exact(HOT, 1).collect(), "/"),
            Kind::Miss => (other(HOT, 2).collect(), "/"),
            Kind::Below => {
                let below = (0..self.size).filter(|host| is_below(*host)).take(HOT);
                (below.map(|host| format!("x.{}", name(host))).collect(), "/")
            }
            Kind::Path => (vec!["paths.example".to_owned(); HOT], "/c/any/d"),
            Kind::ColdHit => (exact(COLD, 3).collect(), "/"),
            Kind::ColdMiss => (other(COLD, 4).collect(), "/"),
        }
    }

    pub(super) fn bytes_a_host(&self) -> f64 {
        self.policy.as_bytes().len() as f64 / self.size as f64
    }

    pub(super) fn mean_name(&self) -> f64 {
        self.name_bytes as f64 / self.size as f64
    }
}

fn is_below(host: usize) -> bool {
    host % 10 == 9
}

fn index(random: u64, size: usize) -> usize {
    usize::try_from(random % size.max(1) as u64).unwrap_or(0)
}

/// The name of a host. Names resemble those of services: 28 bytes on average, with twenty hosts below each registered
/// name.
fn name(host: usize) -> String {
    const ENDS: [&str; 5] = ["com", "net", "io", "example", "co.uk"];
    let (own, above) = (mix(host as u64), mix((host / 20) as u64 ^ 0x5eed));
    let word = |random: u64, length: u64| -> String {
        let letters = (0..length).map(|place| mix(random ^ place) % 26);
        letters
            .filter_map(|letter| u8::try_from(letter).ok())
            .map(|letter| char::from(b'a' + letter))
            .collect()
    };
    let end = ENDS[index(above, ENDS.len())];
    format!("{}-{:05x}.{}.{end}", word(own, 4 + own % 7), host % 0x10_0000, word(above, 6 + above % 9))
}

/// Scrambles a number with the finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
