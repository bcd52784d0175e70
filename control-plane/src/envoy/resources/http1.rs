//! The options of HTTP/1 on both sides of Envoy.

use envoy_types::pb::envoy::config::core::v3::Http1ProtocolOptions;
use envoy_types::pb::envoy::config::core::v3::http1_protocol_options::{HeaderKeyFormat, header_key_format};
use envoy_types::pb::envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use super::protobuf::{bool_value, extension};

/// Upgrades that a client offers and can do without: it goes on in HTTP/1.1. Envoy removes `h2c` itself. Programs that
/// ask for any other upgrade cannot go on, and get the reason.
const OFFERED_UPGRADES: [&str; 2] = ["TLS/", "HTTP/"];

/// The options of connections from clients.
pub(super) fn downstream() -> Http1ProtocolOptions {
    Http1ProtocolOptions {
        allow_absolute_url: bool_value(true),
        accept_http_10: true,
        enable_trailers: true,
        // As over HTTP/2, the policy decides which methods are allowed.
        allow_custom_methods: true,
        header_key_format: preserved_case(),
        ignore_http_11_upgrade: OFFERED_UPGRADES.map(beginning).into(),
        ..Http1ProtocolOptions::default()
    }
}

/// The options of connections to upstreams.
pub(super) fn upstream() -> Http1ProtocolOptions {
    Http1ProtocolOptions {
        enable_trailers: true,
        // A response with both lengths has the length of its chunks, and Envoy removes the other one (RFC 9112, section
        // 6.3). A request with both stays refused.
        allow_chunked_length: true,
        header_key_format: preserved_case(),
        ..Http1ProtocolOptions::default()
    }
}

/// Some servers and clients compare the spelling of header names. Envoy writes reason phrases itself: it would forward
/// those of upstreams as they are, with a bare CR that some clients take for the end of the line.
fn preserved_case() -> Option<HeaderKeyFormat> {
    let config = PreserveCaseFormatterConfig::default();
    let formatter = extension("envoy.http.stateful_header_formatters.preserve_case", config);
    Some(HeaderKeyFormat {
        header_format: Some(header_key_format::HeaderFormat::StatefulFormatter(formatter)),
    })
}

fn beginning(text: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(MatchPattern::Prefix(text.to_owned())), ignore_case: true }
}
