//! Laws of the wire form.

use proptest::collection::vec;
use proptest::prelude::*;

use super::strategies::{request, rules};
use crate::mode::Mode;
use crate::resolved_rule::ResolvedRule;
use crate::wire::writer;
use crate::{InvalidPolicyBytes, Policy};

fn write(rules: &[ResolvedRule<'_>]) -> Box<[u8]> {
    writer::write(rules, Mode::Enforce, false).expect("within limits")
}

/// Corrects the checksum, so that the checks after it are reached.
fn reseal(bytes: &mut [u8]) {
    let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[24..], 4);
    bytes[16..24].copy_from_slice(&checksum.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_round_trip(rules in rules()) {
        let bytes = write(&rules);
        let policy = Policy::from_bytes(bytes.clone()).expect("the written policy is valid");
        prop_assert_eq!(policy.as_bytes(), &*bytes);
        prop_assert_eq!(policy.rules().count(), rules.len());
        for (rule, resolved) in policy.rules().zip(&rules) {
            prop_assert_eq!((rule.id(), rule.effect()), (&*resolved.id, resolved.effect));
        }
    }

    #[test]
    fn the_order_of_hosts_does_not_change_the_bytes(rules in rules()) {
        let mut reversed = rules.clone();
        for rule in &mut reversed {
            rule.hosts.iter_mut().for_each(|hosts| hosts.reverse());
        }
        prop_assert_eq!(write(&rules), write(&reversed));
    }

    #[test]
    fn any_changed_byte_is_refused(rules in rules(), place: prop::sample::Index, change in 1u8..) {
        let mut bytes = write(&rules);
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        prop_assert!(Policy::from_bytes(bytes).is_err());
    }

    #[test]
    fn cut_and_lengthened_bytes_are_refused(rules in rules(), cut: prop::sample::Index, more in 1usize..9) {
        let bytes = write(&rules);
        prop_assert!(Policy::from_bytes(bytes[..cut.index(bytes.len())].to_vec()).is_err());
        prop_assert!(Policy::from_bytes([&bytes[..], &vec![0; more][..]].concat()).is_err());
    }

    #[test]
    fn damage_behind_a_right_checksum_never_panics(
        rules in rules(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        request in request(),
    ) {
        let mut bytes = write(&rules);
        for (place, value) in damage {
            let place = place.index(bytes.len() - 24) + 24;
            bytes[place] = value;
        }
        reseal(&mut bytes);
        if let Ok(policy) = Policy::from_bytes(bytes) {
            let _ = policy.explain(&request.as_request());
            let _ = policy.pass(&request.as_connection(443));
            let _ = policy.hosts().chain(policy.passthrough_hosts()).count();
            let _ = format!("{:?}", policy.upstreams().collect::<Vec<_>>());
            let _ = policy.ports().count();
            let _ = policy.address_sets().map(|set| set.nets().count()).sum::<usize>();
            let _ = format!("{:?}", policy.rules().collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Policy::from_bytes(bytes).is_err());
    }
}

#[test]
fn bytes_of_another_format_name_their_format() {
    let mut bytes = write(&[]);
    bytes[8] = 9;
    assert_eq!(Policy::from_bytes(bytes).err(), Some(InvalidPolicyBytes::Format(9)));
}

#[test]
fn the_empty_policy_is_what_no_rules_compile_to() {
    let empty = crate::compile("rules: []").expect("a policy");
    assert_eq!(empty.as_bytes(), Policy::deny_all().as_bytes());
    assert_eq!(
        Policy::from_bytes(empty.as_bytes()).map(|policy| policy.version()).ok(),
        Some(empty.version())
    );
}

/// If some entries of the host table could not be found, their rules would be lost, deny rules included.
#[test]
fn a_host_that_could_not_be_found_is_refused() {
    let hosts: Vec<String> = (0..40).map(|host| format!("h{host}.example, '*.{host}.test'")).collect();
    let document = format!("rules: [{{id: a, effect: deny, hosts: [{}]}}]", hosts.join(", "));
    let bytes = crate::compile(&document).expect("a policy").as_bytes().to_vec();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    // Returns the range that the header gives for a section; numbers 4 and 5 are the fifth and sixth.
    let section = |number: usize| word(44 + 8 * number)..word(44 + 8 * number) + word(48 + 8 * number);
    let (entries, buckets) = (section(4), section(5));
    assert_eq!(buckets.len(), 4 * 20);
    // The start of each bucket, and the tag, length and list of the first entry.
    let places = buckets.chain(entries.start..entries.start + 4);
    for place in places {
        for change in [1, 0x40] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            reseal(&mut damaged);
            let error = Policy::from_bytes(damaged).err();
            assert!(matches!(error, Some(InvalidPolicyBytes::Malformed(_))), "{place} {change} {error:?}");
        }
    }
    // The bits for the depths of `*.` patterns.
    let mut damaged = bytes;
    damaged[24] = 0;
    reseal(&mut damaged);
    assert!(matches!(Policy::from_bytes(damaged), Err(InvalidPolicyBytes::Malformed(_))));
}
