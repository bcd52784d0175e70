use super::*;

const SECOND: u64 = 1_000_000_000;

fn pool(destination: &str, connection: u64) -> Pool {
    Pool { destination: destination.to_owned(), connection }
}

/// Counts a request with credentials for the connection, and returns whether it has a pool.
fn authenticate(separations: &Separations, request: u32, pool: Pool, now: u64) -> bool {
    separations.enter(request, pool, now, true, 2).is_ok_and(|separate| separate)
}

#[test]
fn a_pool_counts_until_envoy_has_closed_its_connections() {
    let separations = Separations::default();
    assert!(authenticate(&separations, 1, pool("a", 1), 0));
    assert!(authenticate(&separations, 2, pool("a", 2), 0));
    assert!(!authenticate(&separations, 3, pool("a", 3), 0), "a third pool");
    assert!(authenticate(&separations, 4, pool("a", 2), 0), "a second request of a pool");
    separations.end(1, || Some(0));
    assert!(!authenticate(&separations, 5, pool("a", 3), LIFE), "the connection may be open");
    assert!(authenticate(&separations, 6, pool("a", 3), LIFE + 1));
    // A request counts for as long as it lasts.
    separations.end(2, || Some(0));
    separations.end(6, || Some(0));
    assert!(authenticate(&separations, 7, pool("a", 4), LIFE + 1));
    assert!(!authenticate(&separations, 8, pool("a", 5), 1_000_000 * SECOND));
    separations.end(4, || Some(1_000_000 * SECOND));
    separations.end(7, || Some(1_000_000 * SECOND));
    assert!(!authenticate(&separations, 8, pool("a", 5), 1_000_001 * SECOND));
    assert!(authenticate(&separations, 8, pool("a", 5), 1_000_100 * SECOND));
}

#[test]
fn a_request_without_credentials_has_the_pool_of_its_connection_and_destination_alone() {
    let separations = Separations::default();
    assert!(authenticate(&separations, 1, pool("a", 1), 0));
    for (number, (destination, connection, expected)) in
        (2..).zip([("a", 1, true), ("a", 2, false), ("b", 1, false)])
    {
        let separate = separations.enter(number, pool(destination, connection), 0, false, 2).unwrap();
        assert_eq!(separate, expected, "{destination} {connection}");
    }
    for request in [1, 2] {
        separations.end(request, || Some(0));
    }
    assert!(separations.enter(5, pool("a", 1), LIFE, false, 2).unwrap());
    separations.end(5, || Some(LIFE));
    assert!(!separations.enter(6, pool("a", 1), 2 * LIFE + 1, false, 2).unwrap(), "its connection is closed");
}

#[test]
fn a_destination_is_known_by_any_of_its_pools() {
    let separations = Separations::default();
    assert!(authenticate(&separations, 1, pool("b", 7), 0));
    for (destination, expected) in [("a", false), ("b", true), ("b ", false), ("c", false)] {
        assert_eq!(separations.has_destination(&pool(destination, 0)), expected, "{destination}");
    }
}

#[test]
fn a_request_that_has_ended_is_forgotten() {
    let separations = Separations::default();
    for request in 0..1000 {
        assert!(authenticate(&separations, request, pool("a", 1), 0));
        separations.end(request, || Some(0));
        separations.end(request, || panic!("the request has ended already"));
    }
    assert_eq!(separations.pools.borrow().len(), 1);
    assert!(separations.requests.borrow().is_empty());
}

#[test]
fn the_number_of_a_connection_is_an_address() {
    assert_eq!(address(0x1_0000_00ff), "[0:0:0:0:0:1:0:ff]:1");
}
