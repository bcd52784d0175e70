//! Why: the closed list of reasons, each with its word, its status and what a person does next.

/// The reason of a decision. Closed: a new reason breaks every match on it, and that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// An allow rule matched and no deny rule did.
    Allowed,
    /// No rule allows it, and the mode lets out what no rule allows.
    OpenMode,
    /// No allow rule names the host.
    HostNotAllowed,
    /// A rule names the host, but passes its TLS connections through unopened, and this is a request that was seen; or
    /// it opens them, and this one was not.
    TlsNotAllowed,
    /// A rule names the host, but not over this scheme.
    SchemeNotAllowed,
    /// A rule names the host and scheme, but not on this port.
    PortNotAllowed,
    /// A rule names host, scheme and port, but not this method.
    MethodNotAllowed,
    /// A rule names all but this path.
    PathNotAllowed,
    /// A deny rule matched.
    DeniedByRule,
    /// The Rego policy says no.
    DeniedByRego,
    /// The Rego policy gave no answer: undefined, a failure, too long, or nothing that is an answer.
    RegoError,
    /// The authority is no host: user information, odd bytes, an address in an old notation, a bad port.
    InvalidHost,
    /// The host is an address and no rule lists it.
    AddressLiteral,
    /// The method is no token, too long, or a CONNECT where a request is expected.
    InvalidMethod,
    /// The path can be read in several ways: nobody can say where it leads, or a rule's `paths` match some of its readings
    /// and not others.
    AmbiguousPath,
    /// TLS without a server name.
    MissingSni,
    /// The TLS server name and the authority name different hosts.
    SniMismatch,
    /// The CONNECT that carries the connection names another host or port than the request.
    TunnelMismatch,
    /// The explicit proxy asks for credentials, and those of the request are missing or others.
    ProxyCredentialsRequired,
    /// The filter has no policy yet.
    PolicyMissing,
    /// Something failed inside the filter.
    FilterFailure,
    /// The name resolved to an address that is not public and that its rule does not list. Answered by Envoy.
    AddressNotAllowed,
    /// The name did not resolve. Answered by Envoy.
    DnsFailure,
    /// The upstream's certificate did not verify for the name. Answered by Envoy.
    CertificateNotVerified,
    /// No connection to the upstream, or it broke. Answered by Envoy.
    UpstreamUnreachable,
    /// The bytes are no request, or contradict themselves. Answered by Envoy.
    MalformedRequest,
    /// The headers or the URL are longer than Envoy reads. Answered by Envoy.
    RequestTooLarge,
    /// A request that no proxy of this kind passes on: another upgrade than WebSocket, `OPTIONS *`, a transfer coding.
    /// Answered by Envoy.
    UnsupportedRequest,
    /// A limit of the proxy's own was reached: names, connections, requests that wait. Answered by Envoy.
    Overloaded,
}

impl Reason {
    /// Every reason, in the order of the list above.
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

    /// The word in bodies, headers, logs and metrics.
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

    /// The reason of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// The HTTP status of the answer: 421 where connection and request do not belong together (RFC 9110, section
    /// 15.5.20), 400, 431 or 501 where there is no request to judge, 503 where Envoy could not reach the upstream, else
    /// 403. An allowed request has no answer of ours: 200.
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

    /// What a person, or an agent, does next. One sentence, with names in single quotes, and nothing that has a meaning
    /// within the quotes of JSON or of a shell.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Reason::Allowed => "nothing to do: the policy allows this request",
            Reason::OpenMode => {
                "list it in a rule before the policy is enforced: nothing allows this request but the mode"
            }
            Reason::HostNotAllowed => {
                "ask the owner of the policy to list this host in a rule, or use a host that is listed"
            }
            Reason::TlsNotAllowed => {
                "use https with the name of the host as its server name and nothing else, or ask for another 'tls' in the rule"
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
                "the Rego policy forbids this: read what it says, or ask its owner to allow it"
            }
            Reason::RegoError => {
                "the Rego policy gave no answer to this request: tell its owner the decision id"
            }
            Reason::InvalidHost => {
                "write the host as plain lower-case name, without user information and in ASCII"
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
                "the upstream showed a certificate that is not valid for this name: do not go around it, tell its owner"
            }
            Reason::UpstreamUnreachable => "the upstream did not answer: try again later",
            Reason::MalformedRequest => {
                "send a request as HTTP defines it: one Host, one length, a path that begins with a slash, no control characters"
            }
            Reason::RequestTooLarge => {
                "send less: URL and headers together may be 60 KiB, and there may be 100 headers"
            }
            Reason::UnsupportedRequest => {
                "do without: no upgrade but WebSocket is passed on, no 'OPTIONS *', no transfer coding but chunked"
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
