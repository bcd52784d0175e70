//! Tests of minting, keeping and withdrawing leaves.

use std::time::Duration;

use super::super::tests::{ca, host, now};
use super::*;

const NONE: Limit = Limit { live: 0, replaced_per_second: 0 };

fn limit(live: usize) -> Limit {
    Limit { live, replaced_per_second: 1 }
}

fn leaves(listed: Limit, other: Limit) -> (tempfile::TempDir, Leaves) {
    let (folder, ca) = ca();
    (folder, Leaves::new(Arc::new(ca), LeafLimits { listed, other, ..LeafLimits::default() }))
}

fn admitted(leaves: &Leaves, name: &str, class: NameClass, at: SystemTime) -> Option<Issued> {
    leaves.leaf_for(name, &host(name), class, at).unwrap()
}

/// Asks for a leaf and returns the evicted name.
fn ask(leaves: &Leaves, name: &str, class: NameClass) -> Option<String> {
    admitted(leaves, name, class, now()).unwrap().withdrawn.map(|name| (*name).to_owned())
}

fn renewed(leaves: &Leaves, name: &str, at: SystemTime) -> Renewal {
    leaves.renewed(name, &host(name), at).unwrap()
}

#[test]
fn renewing_a_name_is_no_ask_for_it() {
    let (_folder, leaves) = leaves(limit(2), NONE);
    assert!(matches!(renewed(&leaves, "a.example", now()), Renewal::Gone), "a name without a leaf gets none");
    for name in ["a.example", "b.example"] {
        ask(&leaves, name, NameClass::Listed);
    }
    assert!(matches!(renewed(&leaves, "a.example", now()), Renewal::Leaf(_)));
    assert_eq!(ask(&leaves, "c.example", NameClass::Listed).as_deref(), Some("a.example"));
}

#[test]
fn concurrent_asks_for_one_name_make_one_leaf() {
    let (_folder, leaves) = leaves(limit(2), NONE);
    let leaf = || admitted(&leaves, "a.example", NameClass::Listed, now()).unwrap().leaf;
    let made: Vec<Arc<Leaf>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(leaf)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(made.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
}

#[test]
fn a_leaf_is_replaced_when_it_is_due_and_not_before() {
    let (_folder, leaves) = leaves(limit(2), NONE);
    let ask = |at| admitted(&leaves, "a.example", NameClass::Listed, at).unwrap().leaf;
    let first = ask(now());
    let due = first.renew_at();
    assert!(Arc::ptr_eq(&first, &ask(due - Duration::from_secs(1))));
    let Renewal::Leaf(second) = renewed(&leaves, "a.example", due) else { panic!("not renewed") };
    assert!(!Arc::ptr_eq(&first, &second) && second.not_after() > first.not_after());
    assert!(Arc::ptr_eq(&second, &ask(due)));
}

#[test]
fn leaves_that_are_due_together_are_renewed_at_a_bounded_rate_and_asks_do_not_wait() {
    let (_folder, ca) = ca();
    let limits = LeafLimits { listed: limit(30), renewed_per_second: 100, ..LeafLimits::default() };
    let leaves = Leaves::new(Arc::new(ca), limits);
    let names: Vec<String> = (0..30).map(|number| format!("{number}.a.example")).collect();
    for name in &names {
        admitted(&leaves, name, NameClass::Listed, now());
    }
    let due = now() + Duration::from_hours(17);
    let waiting = |at| {
        let later = |name: &&String| matches!(renewed(&leaves, name, at), Renewal::Later);
        names.iter().filter(later).cloned().collect::<Vec<_>>()
    };
    let rest = waiting(due);
    assert_eq!(rest.len(), 20);
    let asked = admitted(&leaves, &rest[0], NameClass::Listed, due).unwrap().leaf;
    assert!(asked.renew_at() > due);
    assert_eq!(waiting(due).len(), 19);
    assert_eq!(waiting(due + Duration::from_millis(100)).len(), 9);
    assert_eq!(waiting(due + Duration::from_millis(200)).len(), 0);
}

#[test]
fn names_outside_the_policy_never_push_out_a_name_of_the_policy() {
    let (_folder, leaves) = leaves(limit(2), limit(1));
    assert_eq!(ask(&leaves, "a.example", NameClass::Listed), None);
    assert_eq!(ask(&leaves, "x.example", NameClass::Other), None);
    assert_eq!(ask(&leaves, "y.example", NameClass::Other).as_deref(), Some("x.example"));
    assert_eq!(ask(&leaves, "b.example", NameClass::Listed), None);
    assert_eq!(ask(&leaves, "a.example", NameClass::Listed), None);
    assert_eq!(ask(&leaves, "c.example", NameClass::Listed).as_deref(), Some("b.example"));
}

#[test]
fn names_replace_each_other_at_a_bounded_rate() {
    let (_folder, leaves) = leaves(limit(2), limit(2));
    let admitted =
        |number: usize, at| admitted(&leaves, &format!("x{number}.example"), NameClass::Other, at).is_some();
    let flood = |numbers: std::ops::Range<usize>, at| numbers.filter(|number| admitted(*number, at)).count();
    // Two names fill the limit, and two more may replace them at once.
    assert_eq!(flood(0..100, now()), 4);
    assert_eq!(flood(100..200, now() + Duration::from_secs(1)), 1);
    assert_eq!(
        ask(&leaves, "a.example", NameClass::Listed),
        None,
        "the policy's names have queues of their own"
    );
}

#[test]
fn names_that_were_only_asked_for_go_before_those_that_are_used() {
    let (_folder, leaves) = leaves(limit(3), NONE);
    for name in ["busy.example", "a.example", "b.example"] {
        ask(&leaves, name, NameClass::Listed);
    }
    leaves.used("busy.example", now());
    leaves.used("never-asked.example", now());
    for (name, gone) in [("c.example", "a.example"), ("d.example", "b.example"), ("e.example", "c.example")] {
        assert_eq!(ask(&leaves, name, NameClass::Listed).as_deref(), Some(gone));
    }
    assert!(leaves.last_use("busy.example") > 0);
    assert_eq!(leaves.last_use("e.example"), 0);
}

#[test]
fn idle_names_are_reaped_and_busy_ones_stay() {
    let (_folder, leaves) = leaves(limit(5), limit(5));
    for name in ["idle.example", "busy.example", "used-once.example"] {
        ask(&leaves, name, NameClass::Listed);
    }
    leaves.used("used-once.example", now());
    ask(&leaves, "x.example", NameClass::Other);
    let later = now() + LeafLimits::default().idle;
    leaves.used("busy.example", later - Duration::from_secs(1));
    assert!(leaves.reap(later - Duration::from_secs(1)).is_none());
    let reaped: Vec<_> = std::iter::from_fn(|| leaves.reap(later)).collect();
    assert_eq!(reaped, ["x.example", "idle.example", "used-once.example"].map(Arc::from));
    assert!(matches!(renewed(&leaves, "idle.example", later), Renewal::Gone));
}

#[test]
fn a_change_of_policy_moves_names_and_what_is_beyond_a_limit_is_reaped() {
    let (_folder, leaves) = leaves(limit(3), limit(1));
    for name in ["a.example", "b.example", "c.example"] {
        ask(&leaves, name, NameClass::Listed);
    }
    leaves.reclassify(|name| if name == "c.example" { NameClass::Listed } else { NameClass::Other });
    assert_eq!(leaves.reap(now()).as_deref(), Some("a.example"));
    assert_eq!(leaves.reap(now()), None);
    assert_eq!(ask(&leaves, "x.example", NameClass::Other).as_deref(), Some("b.example"));
}

#[test]
fn a_name_that_is_held_elsewhere_is_readmitted_where_there_is_room_and_its_leaf_made_when_there_is_time() {
    let (_folder, leaves) = leaves(limit(2), NONE);
    for name in ["a.example", "b.example", "c.example"] {
        leaves.readmit(name, NameClass::Listed, now());
    }
    assert!(matches!(renewed(&leaves, "a.example", now()), Renewal::Leaf(_)));
    assert!(matches!(renewed(&leaves, "c.example", now()), Renewal::Gone));
}
