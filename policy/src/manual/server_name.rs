//! Domain fronting: a connection opened for one host carries a request for another.
//!
//! The leaf certificate is made for the TLS server name, the authority chooses the upstream, and the CONNECT may name
//! a third host. If only one of them is judged, an allowed server name around a forbidden authority, or the reverse,
//! is a bypass. All of them must name one host in canonical form; the CONNECT's port must match too. A mismatch gets
//! 421 rather than 403, because the request may be allowed on a connection of its own (RFC 9110, section 15.5.20).
//! TLS without a server name is denied, because the policy has nothing to compare the authority with.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, policy};
    use crate::{Reason, Request, Scheme};

    const DOCUMENT: &str = "unrestricted_domains: [allowed.example, also.example]";

    #[test]
    fn server_name_and_authority_must_name_one_host() {
        let policy = policy(DOCUMENT);
        let reason =
            |server_name: Option<&'static [u8]>| policy.decide(&Request { server_name, ..HONEST }).reason;
        for same in [&b"allowed.example"[..], b"ALLOWED.example", b"allowed.example."] {
            assert_eq!(reason(Some(same)), Reason::Allowed);
        }
        for other in [
            &b"also.example"[..],
            b"attacker.example",
            b"*.example",
            b"example",
            b"a.allowed.example",
            b"allowed.example:443",
            b"allowed.example\0",
            b"allowed.example..",
            b"\xff",
            b"192.0.2.1",
        ] {
            assert_eq!(reason(Some(other)), Reason::SniMismatch, "{other:?}");
        }
        assert_eq!(reason(None), Reason::MissingSni);
        assert_eq!(reason(Some(b"")), Reason::MissingSni);
        assert_eq!((Reason::SniMismatch.status(), Reason::MissingSni.status()), (421, 421));
    }

    #[test]
    fn an_allowed_server_name_does_not_carry_another_authority() {
        let policy = policy(DOCUMENT);
        let request = Request { authority: b"attacker.example", ..HONEST };
        assert_eq!(policy.decide(&request).reason, Reason::SniMismatch);
    }

    #[test]
    fn a_tunnel_carries_requests_for_its_target_only() {
        let policy = policy(DOCUMENT);
        let reason = |tunnel: &[u8]| policy.decide(&Request { tunnel: Some(tunnel), ..HONEST }).reason;
        assert_eq!(reason(b"allowed.example:443"), Reason::Allowed);
        assert_eq!(reason(b"Allowed.Example.:443"), Reason::Allowed);
        for other in [
            &b"also.example:443"[..],
            b"allowed.example:8443",
            b"allowed.example:80",
            b"192.0.2.1:443",
            b"",
            b"\xff:443",
        ] {
            assert_eq!(reason(other), Reason::TunnelMismatch, "{other:?}");
        }
        assert_eq!(Reason::TunnelMismatch.status(), 421);
    }

    #[test]
    fn plain_http_inside_a_tunnel_is_bound_to_it_too() {
        let policy = policy(DOCUMENT);
        let reason = |tunnel: &'static [u8]| {
            policy
                .decide(&Request { scheme: Scheme::Http, server_name: None, tunnel: Some(tunnel), ..HONEST })
                .reason
        };
        assert_eq!(reason(b"allowed.example:80"), Reason::Allowed);
        assert_eq!(reason(b"allowed.example:443"), Reason::TunnelMismatch);
    }
}
