//! The statuses of the proxy-wasm ABI 0.2.1 in words.

use std::borrow::Cow;

/// Returns the words for a status that is not a success (0).
pub fn text(status: u32) -> Cow<'static, str> {
    match status {
        1 => "not found",
        2 => "bad argument",
        3 => "serialization failure",
        4 => "parse failure",
        7 => "empty",
        8 => "compare-and-swap mismatch",
        10 => "internal failure",
        other => return format!("unknown status {other}").into(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_status_outside_of_the_abi_keeps_its_number() {
        assert_eq!(text(1), "not found");
        assert_eq!(text(12), "unknown status 12");
    }
}
