//! `https://allowed.example@attacker.example/` leads to `attacker.example`.
//!
//! The text before the `@` is user information (RFC 3986, section 3.2.1). Software that looks for the first `:`, or
//! compares a prefix, sees the other name. HTTP forbids user information in an authority (RFC 9110, section 4.2.4).
//! So an authority with an `@` is no host, on whichever side the allowed name is.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{HONEST, plain, policy};
    use crate::{Request, Tunnel};

    #[test]
    fn an_authority_with_user_information_is_no_host() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for authority in [
            "allowed.example@attacker.example",
            "attacker.example@allowed.example",
            "user:password@allowed.example",
            "@allowed.example",
            "allowed.example@",
            "allowed.example:80@attacker.example",
            "a@b@allowed.example",
            "allowed.example%40attacker.example",
        ] {
            assert_eq!(plain(&policy, authority), Reason::InvalidHost, "{authority}");
        }
    }

    #[test]
    fn a_tunnel_with_user_information_is_not_opened() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        let tunnel = Tunnel { authority: b"allowed.example:443@attacker.example:443", judge_host: false };
        assert_eq!(policy.admit(&tunnel).reason, Reason::InvalidHost);
        let inside = Request { tunnel: Some(b"user@allowed.example:443"), ..HONEST };
        assert_eq!(policy.decide(&inside).reason, Reason::TunnelMismatch);
    }
}
