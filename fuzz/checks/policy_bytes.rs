//! Any bytes are refused, or they are a policy that answers every question, even with a correct length and checksum.

use weir_policy::{Connection, Effect, Policy, Request, Scheme, Target, Tunnel};

/// The place of the checksum, and the start of the bytes that it covers.
const CHECKSUM: std::ops::Range<usize> = 16..24;

fn reseal(bytes: &mut [u8]) {
    let Ok(length) = u32::try_from(bytes.len()) else { return };
    if bytes.len() < CHECKSUM.end {
        return;
    }
    let format = u64::from(u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]));
    bytes[12..16].copy_from_slice(&length.to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[CHECKSUM.end..], format);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

fn question(policy: &Policy) {
    let hosts: Vec<String> = policy
        .hosts()
        .chain(policy.passthrough_hosts())
        .map(|pattern| pattern.name().to_string())
        .take(8)
        .collect();
    let _ = policy.ports().count();
    let _ = format!("{:?}", policy.upstreams().collect::<Vec<_>>());
    let _ = policy.address_sets().map(|set| set.nets().count()).sum::<usize>();
    let _ = format!("{:?} {}", policy.rules().collect::<Vec<_>>(), policy.mode());
    for host in hosts.iter().map(String::as_str).chain(["a.example", "x.a.example", "192.0.2.1"]) {
        for path in ["/", "/a/b", "/a%2fb", "/o/r/info/refs?service=git-receive-pack"] {
            let target = Target { scheme: Scheme::Https, authority: host, path };
            for scheme in [Scheme::Https, Scheme::Http] {
                let request = Request { scheme, ..target.request("GET") };
                let decision = policy.decide(&request);
                let (explained, _) = policy.explain(&request);
                assert_eq!((decision.effect, decision.reason), (explained.effect, explained.reason));
                assert!(decision.effect == Effect::Allow || !decision.would_deny);
            }
        }
        let connection = Connection { server_name: Some(host.as_bytes()), port: 443, tunnel: None };
        let passed = policy.pass(&connection);
        assert!(passed.effect == Effect::Deny || passed.rule.is_some());
        for judge_host in [false, true] {
            let _ = policy.admit(&Tunnel { authority: host.as_bytes(), judge_host });
        }
    }
}

/// Checks one input.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(policy) = Policy::from_bytes(bytes) {
        question(&policy);
    }
    let mut bytes = bytes.to_vec();
    reseal(&mut bytes);
    if let Ok(policy) = Policy::from_bytes(bytes) {
        question(&policy);
    }
}
