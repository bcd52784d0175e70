//! A name that contains an allowed name is another name.
//!
//! `contains(host, "github")` allows `github.attacker.com`. A suffix compared without its dot allows
//! `notexample.com`, and a prefix allows `example.com.attacker.com`. Weir looks up a name as a whole, and a `*.`
//! pattern at the dots of the name, by whole labels. There is no other kind of match: no substring, no glob within a
//! label, no regular expression. A wildcard does not match its bare name.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{plain, policy};

    #[test]
    fn only_the_name_itself_is_the_name() {
        let policy = policy("unrestricted_domains: [example.com]");
        assert_eq!(plain(&policy, "example.com"), Reason::Allowed);
        for name in [
            "notexample.com",
            "example.com.attacker.com",
            "example.comm",
            "xample.com",
            "example.co",
            "com",
            "a.example.com",
            "example-com",
            "example.com-attacker.com",
            "attacker.com.example.co",
        ] {
            assert_eq!(plain(&policy, name), Reason::HostNotAllowed, "{name}");
        }
        assert_eq!(plain(&policy, "example_com"), Reason::InvalidHost);
    }

    #[test]
    fn a_pattern_matches_whole_labels_below_the_name() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: ['*.example.com'], schemes: [http]}]");
        for name in ["a.example.com", "a.b.example.com", "A.EXAMPLE.COM.", "-a.example.com"] {
            assert_eq!(plain(&policy, name), Reason::Allowed, "{name}");
        }
        for name in [
            "example.com",
            "notexample.com",
            "a.notexample.com",
            "a.example.com.attacker.com",
            "a.xexample.com",
            "a-example.com",
        ] {
            assert_eq!(plain(&policy, name), Reason::HostNotAllowed, "{name}");
        }
        assert_eq!(plain(&policy, ".example.com"), Reason::InvalidHost);
    }

    #[test]
    fn a_deny_pattern_beats_an_exact_allow() {
        let policy = policy(
            "unrestricted_domains: [a.example.com, example.com]\n\
             rules: [{id: below, effect: deny, hosts: ['*.example.com']}]",
        );
        assert_eq!(plain(&policy, "a.example.com"), Reason::DeniedByRule);
        assert_eq!(plain(&policy, "example.com"), Reason::Allowed);
    }
}
