//! Addresses have many notations, and most parsers accept more of them than one expects.
//!
//! `inet_aton` reads `127.1`, `2130706433`, `0x7f000001` and `0177.0.0.1` as 127.0.0.1, and so do browsers and
//! resolvers. A list of forbidden addresses that reads only four decimal octets misses them. Two rules close the
//! class:
//! - A name whose last label is a number (decimal digits, or `0x` and hexadecimal digits) must be four decimal octets
//!   without leading zeros; otherwise it is no host (the WHATWG URL rule, without its conversions).
//! - An address is allowed only if a rule names it in its one canonical text, for IPv6 that of RFC 5952. A `*.`
//!   pattern never covers an address.
//!
//! An IPv4-mapped IPv6 address (`[::ffff:127.0.0.1]`) remains an IPv6 address; a rule for the IPv4 address does not
//! cover it. The policy cannot see the addresses that a *name* resolves to. The address guard checks them after
//! resolution.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{plain, policy};

    const DOCUMENT: &str = "unrestricted_domains: [allowed.example]\n\
        rules: [{id: all, effect: allow, hosts: ['*.example', 192.0.2.1, '[2001:db8::1]'], schemes: [http]}]";

    #[test]
    fn an_address_is_refused_unless_a_rule_lists_it() {
        let policy = policy(DOCUMENT);
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "192.0.2.2",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:192.0.2.1]",
        ] {
            assert_eq!(plain(&policy, address), Reason::AddressLiteral, "{address}");
        }
        for address in
            ["192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:DB8:0::1]", "[2001:0db8:0:0:0:0:0:1]:80"]
        {
            assert_eq!(plain(&policy, address), Reason::Allowed, "{address}");
        }
    }

    #[test]
    fn old_notations_of_addresses_are_no_hosts() {
        let policy = policy(DOCUMENT);
        for notation in [
            "2130706433",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "017700000001",
            "0x7f000001",
            "0x7f.0.0.1",
            "0X7F.1",
            "127.0.0.0x1",
            "127.0.0.01",
            "127.0.0.1.",
            "192.0.2.1.",
            "256.0.0.1",
            "1.2.3.4.5",
            "127.0.0.1.0x",
            "0x",
            "example.1",
            "::1",
            "[127.0.0.1]",
            "[::1%eth0]",
            "[::1%25eth0]",
            "[fe80::1%lo]",
            "[v1.fe80::a]",
            "[::1",
            "::1]",
            "１２７.0.0.1",
            "①27.0.0.1",
        ] {
            assert_eq!(plain(&policy, notation), Reason::InvalidHost, "{notation}");
        }
    }

    #[test]
    fn a_wildcard_never_covers_an_address() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: ['*.2.1.example'], schemes: [http]}]");
        assert_eq!(plain(&policy, "192.0.2.1"), Reason::AddressLiteral);
        assert!(
            crate::compile("allowed_domains: []\nrules: [{id: a, effect: allow, hosts: ['*.0.0.1']}]")
                .is_err()
        );
    }

    #[test]
    fn a_deny_rule_without_hosts_covers_listed_addresses_too() {
        let policy = policy(
            "rules: [{id: a, effect: allow, hosts: [192.0.2.1], schemes: [http]}, {id: no-posts, effect: deny, methods: [GET]}]",
        );
        assert_eq!(plain(&policy, "192.0.2.1"), Reason::DeniedByRule);
    }
}
