//! The header field `Proxy-Status` (RFC 9209) of every answer that Weir gives in place of a host.

/// The name of the field.
pub const NAME: &str = "proxy-status";

/// Composes the field's value. `error` is a type of the registry of RFC 9209, section 2.3, and `reason` is Weir's own: a
/// word of letters and underscores.
#[must_use]
pub fn value(error: &str, reason: &str) -> String {
    format!("weir; error={error}; details=\"{reason}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_a_list_of_one_item_with_parameters() {
        assert_eq!(
            value("http_request_denied", "host_not_allowed"),
            "weir; error=http_request_denied; details=\"host_not_allowed\""
        );
    }
}
