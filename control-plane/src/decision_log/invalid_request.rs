//! The requests that Envoy refuses before the policy filter sees them: Envoy's own term, and Weir's reason.
//!
//! One list serves the response that the client reads and the decision log.

use weir_policy::Reason;

/// A kind of request that is invalid, or that Envoy does not forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidRequest {
    /// Weir's reason.
    pub reason: Reason,
    /// Envoy's response code details for this kind.
    exactly: &'static [&'static str],
    /// Prefixes of such details.
    beginnings: &'static [&'static str],
}

impl InvalidRequest {
    /// Every kind. The first match applies.
    pub(crate) const ALL: [Self; 3] = [
        Self {
            reason: Reason::RequestTooLarge,
            exactly: &["http1.headers_too_large", "http1.too_many_headers", "http2.too_many_headers"],
            // These details exist since Envoy 1.40.
            beginnings: &["http2.cookies_total_bytes_too_large", "http2.header_list_size_too_large"],
        },
        Self {
            reason: Reason::UnsupportedRequest,
            exactly: &[
                "absolute_path_rejected",
                "http1.invalid_transfer_encoding",
                // A CONNECT-UDP whose path names no target has these details.
                "invalid_path",
                "upgrade_failed",
            ],
            // Envoy gives a third response of its own, pipelined before the first two were written.
            beginnings: &["codec_error:Too_many_responses_queued"],
        },
        Self {
            reason: Reason::MalformedRequest,
            exactly: &[
                "http.invalid_authority",
                "low_version",
                "missing_host_header",
                "missing_path_rejected",
                "path_normalization_failed",
                "request_header_timeout",
            ],
            // The list does not contain all of `http2.`: a client that cancels its request (`http2.remote_reset`)
            // does nothing wrong.
            beginnings: &[
                "codec_error",
                "http1.",
                "http2.inbound",
                "http2.invalid",
                "http2.outbound",
                "http2.unexpected",
                "http2.unknown",
                "http2.violation",
            ],
        },
    ];

    /// Returns the kind of a refused request with these details, if any.
    pub(crate) fn find(details: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|request| {
            request.exactly.contains(&details)
                || request.beginnings.iter().any(|beginning| details.starts_with(beginning))
        })
    }

    /// The kind's condition as a CEL expression.
    pub(crate) fn expression(&self) -> String {
        let exactly: Vec<_> = self.exactly.iter().map(|details| format!("'{details}'")).collect();
        let beginnings =
            self.beginnings.iter().map(|text| format!(" || response.code_details.startsWith('{text}')"));
        format!("response.code_details in [{}]{}", exactly.join(", "), beginnings.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_have_the_reason_of_the_first_that_fits() {
        for (details, reason) in [
            ("http1.headers_too_large", Some(Reason::RequestTooLarge)),
            ("http1.codec_error", Some(Reason::MalformedRequest)),
            ("http2.violation.of.messaging.rule", Some(Reason::MalformedRequest)),
            ("codec_error:Too_many_responses_queued.", Some(Reason::UnsupportedRequest)),
            ("upgrade_failed", Some(Reason::UnsupportedRequest)),
            ("http2.remote_reset", None),
            ("upstream_reset_before_response_started{connection_termination}", None),
            ("via_upstream", None),
            ("", None),
        ] {
            assert_eq!(InvalidRequest::find(details).map(|found| found.reason), reason, "{details}");
        }
    }
}
