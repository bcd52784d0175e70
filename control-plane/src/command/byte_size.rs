//! A number of bytes in the form that people write.

/// Parses a whole number and its unit: `512M`, `2G`.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || "write a whole number and `M` or `G`, as in `512M`".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let bytes: u64 = match unit {
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    u64::from(number).checked_mul(bytes).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_needs_a_unit() {
        for (text, expected) in [("64M", 64 << 20), ("2G", 2 << 30), ("0M", 0)] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["", "M", "512", "-1M", "1.5G", "1T", "7\u{e9}", "9999999999G"] {
            parse(text).unwrap_err();
        }
    }
}
