//! The reasons why an allowed request got no response from its upstream: Envoy's own term, Weir's reason, and a
//! description.
//!
//! One list serves the body that the client reads and the decision log. Only the log gets Envoy's own text, because
//! that quotes the upstream's certificate.

use envoy_types::pb::envoy::data::accesslog::v3::ResponseFlags;
use weir_policy::Reason;

use crate::envoy::resources::names;

/// One way in which an upstream fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpstreamFailure {
    /// Envoy's sign of the failure.
    pub sign: Sign,
    /// Weir's reason.
    pub reason: Reason,
    /// A description of the failure, without control characters, quotes or backslashes.
    pub cause: &'static str,
    /// The advice for this failure, if it says more than the hint of the reason.
    hint: Option<&'static str>,
}

/// The sign that identifies a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A text in Envoy's transport failure reason. Envoy 1.36 reports only that a certificate failed verification,
    /// without the cause.
    Transport(&'static str),
    /// A text in Envoy's response code details.
    Details(&'static str),
    /// One of Envoy's response flags.
    Flag(Flag),
}

/// The response flags that concern an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// The name did not resolve.
    DnsResolutionFailure,
    /// Envoy could not connect.
    ConnectionFailure,
    /// The connection ended early.
    ConnectionTermination,
    /// The response is invalid HTTP, or ends early.
    ProtocolError,
    /// The stream was reset.
    RemoteReset,
    /// A circuit breaker is open.
    Overflow,
    /// The cluster does not exist. The policy that names it arrived before it, or remains after it.
    NoCluster,
}

impl Flag {
    /// The flag's name in access log filters.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DnsResolutionFailure => "DF",
            Self::ConnectionFailure => "UF",
            Self::ConnectionTermination => "UC",
            Self::ProtocolError => "UPE",
            Self::RemoteReset => "UR",
            Self::Overflow => "UO",
            Self::NoCluster => "NC",
        }
    }

    fn is_set(self, flags: &ResponseFlags) -> bool {
        match self {
            Self::DnsResolutionFailure => flags.dns_resolution_failure,
            Self::ConnectionFailure => flags.upstream_connection_failure,
            Self::ConnectionTermination => flags.upstream_connection_termination,
            Self::ProtocolError => flags.upstream_protocol_error,
            Self::RemoteReset => flags.upstream_remote_reset,
            Self::Overflow => flags.upstream_overflow,
            Self::NoCluster => flags.no_cluster_found,
        }
    }
}

/// The advice for an answer that broke off, or that Envoy cannot read. Envoy does not tell which.
const UNREADABLE: &str = "another try helps only if the answer broke off: Weir accepts 1000 header fields in 128 KiB, one \
                          length, and no space before a colon. Ask the owner of the server to mend its answer, or for \
                          'tls: passthrough' in the rule, with which the client reads the answer itself";

const fn failure(sign: Sign, reason: Reason, cause: &'static str) -> UpstreamFailure {
    UpstreamFailure { sign, reason, cause, hint: None }
}

/// A server that ends the handshake because it has no version, cipher or curve of Envoy's offer.
const fn narrow_tls(sign: &'static str) -> UpstreamFailure {
    UpstreamFailure {
        sign: Sign::Transport(sign),
        reason: Reason::UpstreamUnreachable,
        cause: "it offers no version, cipher or curve of TLS that Weir accepts",
        hint: Some(
            "Weir accepts TLS 1.2 and 1.3 with forward secrecy and AES-GCM or ChaCha20. Ask for 'tls: passthrough' \
             in the rule, with which the client negotiates with this host itself",
        ),
    }
}

impl UpstreamFailure {
    /// Every failure. The first one whose sign is present applies.
    pub(crate) const ALL: [Self; 26] = [
        failure(Sign::Details(names::OVERLOADED), Reason::Overloaded, "the proxy is short of memory"),
        failure(Sign::Details("dns_cache_overflow"), Reason::Overloaded, "too many names are in use"),
        failure(
            Sign::Details("dns_cache_pending_requests_overflow"),
            Reason::Overloaded,
            "too many requests wait for names to resolve",
        ),
        failure(
            Sign::Details("dynamic_forward_proxy_pending_request_overflow"),
            Reason::Overloaded,
            "too many requests wait for names to resolve",
        ),
        failure(Sign::Flag(Flag::DnsResolutionFailure), Reason::DnsFailure, "its name did not resolve"),
        failure(
            Sign::Transport("certificate has expired"),
            Reason::CertificateNotVerified,
            "its certificate has expired",
        ),
        failure(
            Sign::Transport("certificate is not yet valid"),
            Reason::CertificateNotVerified,
            "its certificate is not valid yet",
        ),
        failure(
            Sign::Transport("verify SAN list"),
            Reason::CertificateNotVerified,
            "its certificate is for other names",
        ),
        failure(
            Sign::Transport("unable to get"),
            Reason::CertificateNotVerified,
            "no trusted root signed its certificate",
        ),
        failure(
            Sign::Transport("self signed certificate"),
            Reason::CertificateNotVerified,
            "no trusted root signed its certificate",
        ),
        failure(
            Sign::Transport("CERTIFICATE_VERIFY_FAILED"),
            Reason::CertificateNotVerified,
            "its certificate is not valid",
        ),
        UpstreamFailure {
            sign: Sign::Transport("CERTIFICATE_REQUIRED"),
            reason: Reason::UpstreamUnreachable,
            cause: "it requires a client certificate",
            hint: Some(
                "ask for a client certificate in 'upstream' of the rule, or for 'tls: passthrough', with which the client \
                 presents its own",
            ),
        },
        // BoringSSL's term for the alert that directly follows the ClientHello.
        narrow_tls("HANDSHAKE_FAILURE_ON_CLIENT_HELLO"),
        narrow_tls("ALERT_PROTOCOL_VERSION"),
        narrow_tls("ALERT_INSUFFICIENT_SECURITY"),
        narrow_tls("UNSUPPORTED_PROTOCOL"),
        failure(
            Sign::Transport("TLS_error"),
            Reason::UpstreamUnreachable,
            "the TLS handshake with it failed",
        ),
        failure(
            Sign::Transport("Connection refused"),
            Reason::UpstreamUnreachable,
            "it refused the connection",
        ),
        failure(
            Sign::Details("connection_timeout"),
            Reason::UpstreamUnreachable,
            "it did not accept the connection in time",
        ),
        UpstreamFailure {
            sign: Sign::Details("stream_idle_timeout"),
            reason: Reason::UpstreamUnreachable,
            cause: "neither it nor the client sent anything for too long",
            hint: Some(
                "send the whole request at once, or ask the operator of the proxy for a longer '--stream-idle' if the \
                 server needs that long",
            ),
        },
        failure(
            Sign::Flag(Flag::ConnectionFailure),
            Reason::UpstreamUnreachable,
            "no connection to it could be made",
        ),
        failure(
            Sign::Flag(Flag::ConnectionTermination),
            Reason::UpstreamUnreachable,
            "it closed the connection before its answer was whole",
        ),
        UpstreamFailure {
            sign: Sign::Flag(Flag::ProtocolError),
            reason: Reason::UpstreamUnreachable,
            cause: "its answer is incomplete or not valid HTTP, or its headers are too large",
            hint: Some(UNREADABLE),
        },
        // Envoy has one sign for a stream of HTTP/2 that the upstream resets, and for one that Envoy resets itself because
        // of the answer on it.
        UpstreamFailure {
            sign: Sign::Flag(Flag::RemoteReset),
            reason: Reason::UpstreamUnreachable,
            cause: "it reset the request, or its answer is not valid HTTP/2 or has headers that are too large",
            hint: Some(UNREADABLE),
        },
        failure(Sign::Flag(Flag::Overflow), Reason::Overloaded, "too many connections to upstreams are open"),
        failure(
            Sign::Flag(Flag::NoCluster),
            Reason::UpstreamUnreachable,
            "its configuration is not in force yet",
        ),
    ];

    /// Advice for the person who reads the answer.
    pub(crate) fn hint(&self) -> &'static str {
        self.hint.unwrap_or_else(|| self.reason.hint())
    }

    /// Returns the failure's error type in `Proxy-Status` (RFC 9209, section 2.3).
    pub(crate) fn proxy_error(&self) -> &'static str {
        match self.sign {
            Sign::Transport("Connection refused") => "connection_refused",
            Sign::Transport(_) if self.reason == Reason::UpstreamUnreachable => "tls_protocol_error",
            Sign::Details("connection_timeout") => "connection_timeout",
            Sign::Details("stream_idle_timeout") => "connection_read_timeout",
            Sign::Flag(Flag::ConnectionTermination) => "connection_terminated",
            Sign::Flag(Flag::ProtocolError) => "http_protocol_error",
            Sign::Flag(Flag::RemoteReset) => "http_response_incomplete",
            Sign::Transport(_) | Sign::Details(_) | Sign::Flag(_) => self.reason.proxy_error(),
        }
    }

    /// Returns the failure that a request's log entry shows, if any.
    pub(crate) fn find(flags: &ResponseFlags, details: &str, transport: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|failure| match failure.sign {
            Sign::Transport(text) => transport.contains(text),
            Sign::Details(text) => details.contains(text),
            Sign::Flag(flag) => flag.is_set(flags),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(text: &str) -> (&'static str, &'static str) {
        let flags = ResponseFlags { upstream_connection_failure: true, ..ResponseFlags::default() };
        let failure = UpstreamFailure::find(&flags, "", text).unwrap();
        (failure.reason.as_str(), failure.cause)
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_cause() {
        let verify = "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: ";
        for (text, cause) in [
            (
                "X509_verify_cert: certificate verification error at depth 0: certificate has expired",
                "its certificate has expired",
            ),
            ("verify SAN list, expected SANs: [a.example]", "its certificate is for other names"),
            (
                "X509_verify_cert: certificate verification error at depth 0: unable to get local issuer certificate",
                "no trusted root signed its certificate",
            ),
            ("something new", "its certificate is not valid"),
        ] {
            assert_eq!(
                transport(&format!("{verify}{text}:TLS_error_end")),
                ("certificate_not_verified", cause)
            );
        }
    }

    #[test]
    fn what_is_no_certificate_is_no_certificates_fault() {
        let reset =
            "TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end";
        assert_eq!(transport(reset), ("upstream_unreachable", "the TLS handshake with it failed"));
        let refused = "delayed connect error: Connection refused";
        assert_eq!(transport(refused), ("upstream_unreachable", "it refused the connection"));
        assert_eq!(transport(""), ("upstream_unreachable", "no connection to it could be made"));
    }

    #[test]
    fn an_answer_without_a_sign_is_no_failure() {
        assert_eq!(UpstreamFailure::find(&ResponseFlags::default(), "via_upstream", ""), None);
    }

    #[test]
    fn causes_and_hints_need_no_escaping_and_mean_nothing_to_a_shell() {
        for failure in UpstreamFailure::ALL {
            for text in [failure.cause, failure.hint()] {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" .,:;()-/@*'".contains(&byte);
                assert!(text.bytes().all(plain) && text.matches('\'').count().is_multiple_of(2), "{text}");
            }
        }
    }
}
