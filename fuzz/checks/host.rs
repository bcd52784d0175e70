//! A valid host is canonical: its text is short, lower-case ASCII, and its own canonical form.

use weir_policy::{Authority, Host};

/// Checks one input.
pub(crate) fn check(raw: &[u8]) {
    if let Ok(host) = Host::parse(raw) {
        let text = host.as_str();
        assert_eq!(Host::parse(text.as_bytes()), Ok(host));
        assert!(!text.is_empty() && text.len() <= weir_policy::limits::HOST_BYTES);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()), "{text}");
        assert!(!text.contains(['@', '/', '?', '#', '%', ',', '\\']), "{text}");
        assert!(!text.contains("..") && !text.ends_with('.'), "{text}");
    }
    if let Ok(authority) = Authority::parse(raw, 443) {
        assert_eq!(Authority::parse_with_port(authority.to_string().as_bytes()), Ok(authority));
    }
}
