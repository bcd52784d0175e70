//! Retry policies: which requests Envoy sends again, and how often.
//!
//! Only a request that its upstream did not process is sent again, or an idempotent one whose connection ended before a
//! byte of the answer (RFC 9110, section 9.2.2). A failed TLS handshake is never tried again, because a second one hides
//! a fault of resumed sessions.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, RetryPolicy, retry_policy::RetryBackOff};
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use super::protobuf::{duration, number};

/// Times that a request is sent again which the upstream refused to process. A server that closes each connection after
/// ten requests refuses a request several times when a hundred come at once.
const REFUSED: u32 = 16;
/// Times that an idempotent request is sent again whose connection ended (RFC 9110, section 9.2.2).
const ENDED: u32 = 1;
/// The longest pause before the first retry; it doubles with each one. Envoy draws each pause at random.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest pause before any retry.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The idempotent methods (RFC 9110, section 9.2.2).
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"];

/// Over TLS: requests of any method that the upstream refused. Those are streams that it reset with `REFUSED_STREAM`, and
/// streams above the last one that it names in GOAWAY (RFC 9113, section 8.7). Envoy's condition for connections that ended
/// (`reset`) also holds for failed handshakes.
pub(super) fn over_tls() -> RetryPolicy {
    policy("refused-stream", REFUSED)
}

/// Over plain HTTP, where there is no handshake that could fail: idempotent requests whose connection ended.
pub(super) fn over_plain_http() -> RetryPolicy {
    let methods = IDEMPOTENT.into_iter().map(method);
    RetryPolicy { retriable_request_headers: methods.collect(), ..policy("reset", ENDED) }
}

fn policy(retry_on: &str, retries: u32) -> RetryPolicy {
    RetryPolicy {
        retry_on: retry_on.to_owned(),
        num_retries: number(retries),
        retry_back_off: Some(RetryBackOff {
            base_interval: duration(PAUSE),
            max_interval: duration(LONGEST_PAUSE),
        }),
        ..RetryPolicy::default()
    }
}

fn method(name: &str) -> HeaderMatcher {
    let exact = StringMatcher {
        match_pattern: Some(MatchPattern::Exact(name.to_owned())),
        ..StringMatcher::default()
    };
    HeaderMatcher {
        name: ":method".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact)),
        ..HeaderMatcher::default()
    }
}
