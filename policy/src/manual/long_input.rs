//! Input of any length costs what a bounded one costs.
//!
//! An authority beyond its limit is refused before it is read, a method likewise; a path is cut at its query first and
//! refused beyond [`crate::limits::PATH_BYTES`]. A name of 127 labels is looked up at most 128 times, and at those depths
//! only at which some pattern ends. Nothing is cut short and then compared: a truncated name is another name.

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
