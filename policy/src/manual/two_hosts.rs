//! A request that names two hosts: two `Host` headers, `Host` beside `:authority`, an absolute-form target beside
//! `Host`.
//!
//! If the policy judges one of the names and the server reads the other, the policy is bypassed. HTTP defines which
//! one counts (an absolute-form target beats `Host`, RFC 9112, section 3.2.2; `:authority` and `Host` must agree, RFC
//! 9113, section 8.3.1; two `Host` headers are a 400), but parsers disagree all the same. The policy's request has
//! one authority and no headers to fall back to: the caller must put everything that names the host into that one
//! value. Joined values, with the comma that proxies use or the NUL that the filter uses, are no host. Neither are a
//! list, a URL, or an authority with a path. Envoy forwards only the canonical authority that the policy judged.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, plain, policy};
    use crate::{Reason, Request, Tunnel};

    #[test]
    fn joined_hosts_are_no_host() {
        let policy = policy("unrestricted_domains: [allowed.example, also.example]");
        for authority in [
            "allowed.example,attacker.example",
            "allowed.example, also.example",
            "attacker.example,allowed.example",
            "allowed.example\0attacker.example",
            "allowed.example allowed.example",
            "allowed.example\tattacker.example",
            "allowed.example\r\nHost: attacker.example",
            "allowed.example;attacker.example",
            ",allowed.example",
            "allowed.example,",
        ] {
            assert_eq!(plain(&policy, authority), Reason::InvalidHost, "{authority:?}");
        }
    }

    #[test]
    fn an_authority_is_not_read_out_of_a_url() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for authority in [
            "http://allowed.example",
            "https://allowed.example/",
            "//allowed.example",
            "allowed.example/",
            "allowed.example/path",
            "allowed.example?x",
            "allowed.example#x",
            "attacker.example/allowed.example",
            "allowed.example\\@attacker.example",
        ] {
            assert_eq!(plain(&policy, authority), Reason::InvalidHost, "{authority}");
        }
    }

    #[test]
    fn an_absolute_form_target_is_no_path() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for path in ["http://attacker.example/", "https://allowed.example/", "attacker.example", "*", ""] {
            let request = Request { path: path.as_bytes(), ..HONEST };
            assert_eq!(policy.decide(&request).reason, Reason::AmbiguousPath, "{path}");
        }
        // After a slash, this text is an ordinary path of the host that was judged.
        let request = Request { path: b"/http://attacker.example/", ..HONEST };
        assert_eq!(policy.decide(&request).reason, Reason::Allowed);
    }

    #[test]
    fn a_tunnel_to_two_hosts_is_not_opened() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for authority in
            ["allowed.example:443,attacker.example:443", "allowed.example:443:443", "allowed.example"]
        {
            let tunnel = Tunnel { authority: authority.as_bytes(), judge_host: false };
            assert_eq!(policy.admit(&tunnel).reason, Reason::InvalidHost, "{authority}");
        }
    }

    #[test]
    fn what_goes_out_is_what_was_judged() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        let decision = policy.decide(&Request { authority: b"ALLOWED.example.:443", ..HONEST });
        let authority = decision.authority.map(|authority| authority.to_string());
        assert_eq!((decision.reason, authority.as_deref()), (Reason::Allowed, Some("allowed.example:443")));
    }
}
