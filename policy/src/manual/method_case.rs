//! Methods are case-sensitive, but some servers fold their case.
//!
//! `get` is not `GET` (RFC 9110, section 9.1). If the policy folded case, a rule for `GET` would allow `get`, which a
//! server may treat in its own way. So the policy compares a method as the client sent it, and a rule lists methods
//! exactly. A client can evade a *deny* rule that lists methods with another spelling, if the upstream folds case. To
//! forbid writing, allow the reading methods instead.
//!
//! Override headers (`X-HTTP-Method-Override` and similar) turn a POST into a DELETE at servers that honour them. The
//! policy judges the method of the request. A rule must not allow POST to a host where the difference matters.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, policy};
    use crate::{Reason, Request};

    #[test]
    fn another_spelling_is_another_method() {
        let policy = policy("allowed_domains: [allowed.example]");
        let reason = |method: &str| policy.decide(&Request { method: method.as_bytes(), ..HONEST }).reason;
        assert_eq!((reason("GET"), reason("HEAD")), (Reason::Allowed, Reason::Allowed));
        for method in ["get", "Get", "GETS", "GE", "POST", "OPTIONS", "PRI", "X-GET"] {
            assert_eq!(reason(method), Reason::MethodNotAllowed, "{method}");
        }
    }

    #[test]
    fn a_host_that_may_only_be_read_has_no_method_to_override() {
        // Servers honour override headers on POST, and a rule without POST denies every request that carries one.
        let policy = policy("allowed_domains: [allowed.example]");
        let request = Request { method: b"POST", path: b"/?_method=DELETE", ..HONEST };
        assert_eq!(policy.decide(&request).reason, Reason::MethodNotAllowed);
    }

    #[test]
    fn what_is_no_token_is_no_method() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        for method in
            ["", " ", "GET ", " GET", "GET /", "GET\0", "GET\r\nX: y", "G\u{45e}T", "(GET)", "GET,POST"]
        {
            let request = Request { method: method.as_bytes(), ..HONEST };
            assert_eq!(policy.decide(&request).reason, Reason::InvalidMethod, "{method:?}");
        }
    }

    #[test]
    fn a_connect_inside_a_connection_is_no_request() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        let request = Request { method: b"CONNECT", ..HONEST };
        assert_eq!(policy.decide(&request).reason, Reason::InvalidMethod);
    }
}
