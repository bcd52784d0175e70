//! Host names have many spellings and one meaning.
//!
//! DNS folds case, a trailing dot makes a name absolute without changing it, and a port is not part of a name. A deny
//! list that compares strings misses `EXAMPLE.com`, and an upstream pool keyed by the raw text gives every spelling a
//! connection of its own. Weir folds [`crate::Host`] once and splits off the port once, into [`crate::Authority`].
//! All later code sees only the canonical form.
//!
//! Text that is no spelling of a name is denied: empty labels (`a..b`, `example.com..`), an empty port
//! or one with leading zeros, port 0, or any text after the port.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{plain, policy};

    #[test]
    fn a_deny_rule_holds_for_every_spelling() {
        let policy = policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: stop, effect: deny, hosts: [allowed.example]}]",
        );
        for spelling in [
            "allowed.example",
            "ALLOWED.example",
            "allowed.EXAMPLE.",
            "Allowed.Example:80",
            "allowed.example.:80",
        ] {
            assert_eq!(plain(&policy, spelling), Reason::DeniedByRule, "{spelling}");
        }
    }

    #[test]
    fn an_allow_rule_holds_for_every_spelling() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for spelling in ["allowed.example", "ALLOWED.example", "allowed.EXAMPLE.", "Allowed.Example:80"] {
            assert_eq!(plain(&policy, spelling), Reason::Allowed, "{spelling}");
        }
    }

    #[test]
    fn what_is_not_a_spelling_of_a_name_is_no_host() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for authority in [
            "",
            ".",
            ":80",
            "allowed.example..",
            ".allowed.example",
            "allowed..example",
            "allowed.example:",
            "allowed.example:0",
            "allowed.example:080",
            "allowed.example:80:80",
            "allowed.example:65616",
            "allowed.example:http",
            "allowed.example:80 ",
            " allowed.example",
            "allowed.example,other.example",
            "allowed.example/",
            "allowed.example#",
            "allowed.example?",
            "http://allowed.example",
            "[allowed.example]",
            "*.example",
            "*",
        ] {
            assert_eq!(plain(&policy, authority), Reason::InvalidHost, "{authority}");
        }
    }

    #[test]
    fn another_port_is_another_place() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        assert_eq!(plain(&policy, "allowed.example:15000"), Reason::PortNotAllowed);
    }
}
