//! The rules that apply to a host.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::effect::Effect;
use crate::host::Host;
use crate::wire::Image;

/// Calls `visit` with each rule that names the host, that has a wildcard above it, or that has no hosts. A rule that
/// matches in two ways is visited twice.
///
/// This takes one lookup in the host table for the name, and one for each parent at a depth at which some wildcard
/// ends: at most [`crate::limits::HOST_LABELS`].
pub(super) fn for_each(image: &Image, host: &Host, mut visit: impl FnMut(u16)) {
    // An allow rule without hosts covers names only, and no addresses.
    let is_meant = |index: &u16| {
        !host.is_address() || image.rule(*index).is_some_and(|rule| rule.effect == Effect::Deny)
    };
    image.rules_everywhere().filter(is_meant).for_each(&mut visit);
    image.rules_of_name(host.as_str()).for_each(&mut visit);
    for parent in parents(host) {
        if has_depth(image.below_depths(), parent.depth) {
            image.rules_below(parent.name).for_each(&mut visit);
        }
    }
}

/// A parent domain of a host.
pub(super) struct Parent<'h> {
    pub(super) name: &'h str,
    /// The number of its labels.
    depth: u32,
}

/// Returns the parent domains of a name, the nearest first. An address has none.
pub(super) fn parents(host: &Host) -> impl Iterator<Item = Parent<'_>> {
    let mut rest = if host.is_address() { "" } else { host.as_str() };
    let mut depth = rest.bytes().fold(0u32, |dots, byte| dots.saturating_add(u32::from(byte == b'.')));
    core::iter::from_fn(move || {
        let (_, name) = rest.split_once('.')?;
        rest = name;
        let parent = Parent { name, depth };
        depth = depth.saturating_sub(1);
        Some(parent)
    })
}

fn has_depth(depths: u128, depth: u32) -> bool {
    1u128.checked_shl(depth).is_some_and(|bit| depths & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_with_their_number_of_labels() {
        let Ok(host) = Host::parse(b"a.b.example.com") else { panic!() };
        let all: Vec<_> = parents(&host).map(|parent| (parent.name, parent.depth)).collect();
        assert_eq!(all, [("b.example.com", 3), ("example.com", 2), ("com", 1)]);
    }

    #[test]
    fn an_address_and_a_single_label_have_no_parents() {
        for raw in ["192.0.2.1", "[::ffff:192.0.2.1]", "localhost"] {
            let Ok(host) = Host::parse(raw.as_bytes()) else { panic!() };
            assert_eq!(parents(&host).count(), 0, "{raw}");
        }
    }
}
