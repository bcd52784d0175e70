//! The cost of input is bounded, whatever its length.
//!
//! An authority or a method beyond its limit is denied before it is read. A path is cut at its query, and then denied
//! beyond [`crate::limits::PATH_BYTES`]. A name of 127 labels takes at most 128 lookups, and only at those depths at
//! which some pattern ends. No name is truncated before a comparison: a truncated name is another name.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::limits::{HOST_LABELS, PATH_BYTES};
    use crate::manual::attack::{HONEST, path, plain, policy};
    use crate::{Reason, Request};

    #[test]
    fn a_name_beyond_the_limit_is_refused_and_not_cut() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: ['*.example'], schemes: [http]}]");
        let labels = vec!["a"; HOST_LABELS - 4].join(".");
        assert_eq!(plain(&policy, format!("{labels}.example")), Reason::Allowed);
        for name in [
            format!("aaa.{labels}.a.example"),
            format!("{}.example", "a".repeat(64)),
            format!("{}example", "a.".repeat(500_000)),
            "a".repeat(1 << 20),
        ] {
            assert_eq!(plain(&policy, &name), Reason::InvalidHost, "{} bytes", name.len());
        }
    }

    #[test]
    fn a_path_beyond_the_limit_is_refused_and_its_query_does_not_count() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        let longest = format!("/{}", "a".repeat(PATH_BYTES - 1));
        assert_eq!(path(&policy, &longest), Reason::Allowed);
        assert_eq!(path(&policy, format!("{longest}a")), Reason::AmbiguousPath);
        assert_eq!(path(&policy, format!("/?{}", "a".repeat(1 << 20))), Reason::Allowed);
        assert_eq!(path(&policy, format!("/{}", "a/../".repeat(PATH_BYTES / 5 - 1))), Reason::Allowed);
        assert_eq!(path(&policy, "/..".repeat(PATH_BYTES)), Reason::AmbiguousPath);
    }

    #[test]
    fn a_method_beyond_the_limit_is_refused() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        let reason = |length: usize| {
            policy.decide(&Request { method: "A".repeat(length).as_bytes(), ..HONEST }).reason
        };
        assert_eq!(
            (reason(32), reason(33), reason(1 << 20)),
            (Reason::Allowed, Reason::InvalidMethod, Reason::InvalidMethod)
        );
    }
}
