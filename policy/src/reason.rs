//! The closed list of reasons, each with its name, its HTTP status and a hint for the person behind the request.

/// The reason of a decision. The list is closed, so that the compiler finds every match that a new reason concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// An allow rule matched and no deny rule did.
    Allowed,
    /// No rule allows the request, and open mode forwards it.
    OpenMode,
    /// No allow rule names the host.
    HostNotAllowed,
    /// A rule names the host, but passes its TLS connections through, and Envoy terminated TLS; or the rule intercepts
    /// them, and Envoy would pass this one through.
    TlsNotAllowed,
    /// A rule names the host, but not over this scheme.
    SchemeNotAllowed,
    /// A rule names the host and scheme, but not on this port.
    PortNotAllowed,
    /// A rule names host, scheme and port, but not this method.
    MethodNotAllowed,
    /// A rule names host, scheme, port and method, but not this path.
    PathNotAllowed,
    /// A deny rule matched.
    DeniedByRule,
    /// The Rego policy denies the request.
    DeniedByRego,
    /// The Rego policy gave no answer: its value is undefined or not an answer, or its evaluation failed or exceeded a
    /// limit.
    RegoError,
    /// The authority is not a host and port: it contains user information, invalid bytes, an address in an old notation,
    /// or an invalid port.
    InvalidHost,
    /// The host is an address that no rule lists.
    AddressLiteral,
    /// The method contains invalid bytes, is too long, or is CONNECT where the policy judges a request.
    InvalidMethod,
    /// Servers read the path in several ways: none of them can be followed safely, or a rule's `paths` match only some of
    /// its readings.
    AmbiguousPath,
    /// The TLS connection has no server name.
    MissingSni,
    /// The TLS server name and the authority name different hosts.
    SniMismatch,
    /// The CONNECT that carries the connection and the request name different hosts or ports.
    TunnelMismatch,
    /// The explicit proxy requires credentials, and those of the request are missing or wrong.
    ProxyCredentialsRequired,
    /// The filter has no policy yet.
    PolicyMissing,
    /// The filter failed.
    FilterFailure,
    /// The name resolved to a non-public address that its rule does not list. Envoy denies the request.
    AddressNotAllowed,
    /// The name did not resolve. Envoy answers the request.
    DnsFailure,
    /// The upstream's certificate is not valid for the name. Envoy answers the request.
    CertificateNotVerified,
    /// The connection to the upstream failed or broke. Envoy answers the request.
    UpstreamUnreachable,
    /// The bytes are not a valid request. Envoy answers them.
    MalformedRequest,
    /// The headers or the URL exceed Envoy's limits. Envoy answers the request.
    RequestTooLarge,
    /// The request needs something that Envoy does not forward: an upgrade other than WebSocket, `OPTIONS *`, or a
    /// transfer coding other than chunked. Envoy answers the request.
    UnsupportedRequest,
    /// The proxy is at one of its own limits: names, connections, or waiting requests. Envoy answers the request, or the filter
    /// if too many clients have upstream connections of their own.
    Overloaded,
}

impl Reason {
    /// Every reason, in the order of the variants. The list is written by hand; a test compares it with the variants.
    pub const ALL: [Reason; 29] = [
        Reason::Allowed,
        Reason::OpenMode,
        Reason::HostNotAllowed,
        Reason::TlsNotAllowed,
        Reason::SchemeNotAllowed,
        Reason::PortNotAllowed,
        Reason::MethodNotAllowed,
        Reason::PathNotAllowed,
        Reason::DeniedByRule,
        Reason::DeniedByRego,
        Reason::RegoError,
        Reason::InvalidHost,
        Reason::AddressLiteral,
        Reason::InvalidMethod,
        Reason::AmbiguousPath,
        Reason::MissingSni,
        Reason::SniMismatch,
        Reason::TunnelMismatch,
        Reason::ProxyCredentialsRequired,
        Reason::PolicyMissing,
        Reason::FilterFailure,
        Reason::AddressNotAllowed,
        Reason::DnsFailure,
        Reason::CertificateNotVerified,
        Reason::UpstreamUnreachable,
        Reason::MalformedRequest,
        Reason::RequestTooLarge,
        Reason::UnsupportedRequest,
        Reason::Overloaded,
    ];

    /// Returns the name of the reason in bodies, headers, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Allowed => "allowed",
            Reason::OpenMode => "open_mode",
            Reason::HostNotAllowed => "host_not_allowed",
            Reason::TlsNotAllowed => "tls_not_allowed",
            Reason::SchemeNotAllowed => "scheme_not_allowed",
            Reason::PortNotAllowed => "port_not_allowed",
            Reason::MethodNotAllowed => "method_not_allowed",
            Reason::PathNotAllowed => "path_not_allowed",
            Reason::DeniedByRule => "denied_by_rule",
            Reason::DeniedByRego => "denied_by_rego",
            Reason::RegoError => "rego_error",
            Reason::InvalidHost => "invalid_host",
            Reason::AddressLiteral => "address_literal",
            Reason::InvalidMethod => "invalid_method",
            Reason::AmbiguousPath => "ambiguous_path",
            Reason::MissingSni => "missing_sni",
            Reason::SniMismatch => "sni_mismatch",
            Reason::TunnelMismatch => "tunnel_mismatch",
            Reason::ProxyCredentialsRequired => "proxy_credentials_required",
            Reason::PolicyMissing => "policy_missing",
            Reason::FilterFailure => "filter_failure",
            Reason::AddressNotAllowed => "address_not_allowed",
            Reason::DnsFailure => "dns_failure",
            Reason::CertificateNotVerified => "certificate_not_verified",
            Reason::UpstreamUnreachable => "upstream_unreachable",
            Reason::MalformedRequest => "malformed_request",
            Reason::RequestTooLarge => "request_too_large",
            Reason::UnsupportedRequest => "unsupported_request",
            Reason::Overloaded => "overloaded",
        }
    }

    /// Returns the reason with this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Returns the HTTP status of the denial: 421 if connection and request do not belong together (RFC 9110, section 15.5.20),
    /// 407 without valid proxy credentials, 400, 431 or 501 if there is no request to judge, 503 if Envoy could not reach
    /// the upstream, else 403. An allowed request has 200, because Weir does not answer it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Reason::Allowed | Reason::OpenMode => 200,
            Reason::MissingSni | Reason::SniMismatch | Reason::TunnelMismatch => 421,
            Reason::ProxyCredentialsRequired => 407,
            Reason::DnsFailure
            | Reason::CertificateNotVerified
            | Reason::UpstreamUnreachable
            | Reason::Overloaded => 503,
            Reason::MalformedRequest => 400,
            Reason::RequestTooLarge => 431,
            Reason::UnsupportedRequest => 501,
            Reason::HostNotAllowed
            | Reason::TlsNotAllowed
            | Reason::SchemeNotAllowed
            | Reason::PortNotAllowed
            | Reason::MethodNotAllowed
            | Reason::PathNotAllowed
            | Reason::DeniedByRule
            | Reason::DeniedByRego
            | Reason::RegoError
            | Reason::InvalidHost
            | Reason::AddressLiteral
            | Reason::InvalidMethod
            | Reason::AmbiguousPath
            | Reason::PolicyMissing
            | Reason::FilterFailure
            | Reason::AddressNotAllowed => 403,
        }
    }

    /// Returns the error type of the reason in `Proxy-Status` (RFC 9209, section 2.3).
    #[must_use]
    pub fn proxy_error(self) -> &'static str {
        match self {
            Reason::DnsFailure => "dns_error",
            Reason::CertificateNotVerified => "tls_certificate_error",
            Reason::UpstreamUnreachable => "destination_unavailable",
            Reason::AddressNotAllowed => "destination_ip_prohibited",
            Reason::Overloaded => "connection_limit_reached",
            Reason::PolicyMissing => "proxy_configuration_error",
            Reason::FilterFailure | Reason::RegoError => "proxy_internal_error",
            Reason::MalformedRequest | Reason::RequestTooLarge | Reason::UnsupportedRequest => {
                "http_request_error"
            }
            Reason::Allowed
            | Reason::OpenMode
            | Reason::HostNotAllowed
            | Reason::TlsNotAllowed
            | Reason::SchemeNotAllowed
            | Reason::PortNotAllowed
            | Reason::MethodNotAllowed
            | Reason::PathNotAllowed
            | Reason::DeniedByRule
            | Reason::DeniedByRego
            | Reason::InvalidHost
            | Reason::AddressLiteral
            | Reason::InvalidMethod
            | Reason::AmbiguousPath
            | Reason::MissingSni
            | Reason::SniMismatch
            | Reason::TunnelMismatch
            | Reason::ProxyCredentialsRequired => "http_request_denied",
        }
    }

    /// Returns advice for the person or agent behind the request: one sentence, with names in single quotes, and without
    /// characters that are special inside quotes of JSON or of a shell.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Reason::Allowed => "nothing to do: the policy allows this request",
            Reason::OpenMode => {
                "list this host in a rule before the policy is enforced: only open mode allows this request"
            }
            Reason::HostNotAllowed => {
                "ask the owner of the policy to list this host in a rule, or use a host that is listed"
            }
            Reason::TlsNotAllowed => {
                "connect over https with the name of the host as the server name, or ask for another 'tls' in the rule"
            }
            Reason::SchemeNotAllowed => {
                "use the other scheme (rules mean https unless they say otherwise), or ask for 'schemes' in the rule"
            }
            Reason::PortNotAllowed => "use the default port, or ask for this one in 'ports' of the rule",
            Reason::MethodNotAllowed => {
                "the host may be used with other methods only: ask for this one in 'methods' of the rule"
            }
            Reason::PathNotAllowed => {
                "the host may be used on other paths only: ask for this one in 'paths' of the rule"
            }
            Reason::DeniedByRule => {
                "a deny rule forbids this: no other rule can allow it, only its owner can change it"
            }
            Reason::DeniedByRego => {
                "the Rego policy forbids this: read its reason, or ask its owner to allow the request"
            }
            Reason::RegoError => {
                "the Rego policy gave no answer to this request: tell its owner the decision id"
            }
            Reason::InvalidHost => {
                "write the host as a plain lower-case name of ASCII letters, digits and hyphens, without user information"
            }
            Reason::AddressLiteral => {
                "use the name of the host, not its address, or ask for the address in a rule"
            }
            Reason::InvalidMethod => "use an ordinary HTTP method",
            Reason::AmbiguousPath => {
                "write the path plainly: no encoded slash, backslash or control character, no double encoding, no doubled slash, and no dot segments"
            }
            Reason::MissingSni => {
                "use a client that sends the server name (SNI), and a host name, not an address"
            }
            Reason::SniMismatch => {
                "send the request on a connection whose TLS server name is the host of the request"
            }
            Reason::TunnelMismatch => {
                "send the request through a CONNECT to the host and port of the request"
            }
            Reason::ProxyCredentialsRequired => {
                "give the client a user and password of this proxy, such as 'user:password@' before the address of the proxy"
            }
            Reason::PolicyMissing => {
                "wait for the proxy to receive its policy and try again, and tell its operator if this lasts"
            }
            Reason::FilterFailure => "try again, and tell the operator of the proxy the decision id",
            Reason::AddressNotAllowed => {
                "the name resolves to an address that is not public: ask for the range in 'addresses' of the rule"
            }
            Reason::DnsFailure => "check the name: it did not resolve at the proxy",
            Reason::CertificateNotVerified => {
                "the upstream presented a certificate that is not valid for this name: do not bypass the check, tell the owner of the host"
            }
            Reason::UpstreamUnreachable => "the upstream did not answer: try again later",
            Reason::MalformedRequest => {
                "send a request as HTTP defines it: one Host without underscores, one length, a path that begins with a slash, no control characters"
            }
            Reason::RequestTooLarge => {
                "send at most 100 headers, and at most 60 KiB of URL and headers together"
            }
            Reason::UnsupportedRequest => {
                "the proxy forwards only upgrades to WebSocket and only chunked transfer coding, and no 'OPTIONS *'"
            }
            Reason::Overloaded => "try again later: the proxy is at a limit of its own",
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::from_word("Allowed"), None);
    }

    #[test]
    fn all_lists_every_variant_in_order() {
        let last = Reason::Overloaded as usize;
        assert!(Reason::ALL.into_iter().map(|reason| reason as usize).eq(0..=last));
    }

    #[test]
    fn hints_need_no_escaping_in_json_and_mean_nothing_to_a_shell() {
        for reason in Reason::ALL {
            let hint = reason.hint();
            assert!(!hint.is_empty() && !hint.ends_with('.'), "{reason}");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" ,:()-/@*'".contains(&byte);
            assert!(hint.bytes().all(plain), "{reason}: {hint}");
            assert!(hint.matches('\'').count().is_multiple_of(2), "{reason}: {hint}");
        }
    }
}
