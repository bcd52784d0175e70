//! A duration in the form that people write.

use std::time::Duration;

/// Parses a whole number and its unit: `30s`, `10m`, `24h`, `7d`; `0` needs no unit.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number and `s`, `m`, `h` or `d`, as in `24h`".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    // The number has 32 bits, so that adding the duration to the current time cannot overflow.
    let number: u32 = number.parse().map_err(|_| wrong())?;
    u64::from(number).checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_a_unit_but_for_zero() {
        let seconds = |text| parse(text).map(|span| span.as_secs());
        for (text, expected) in [("0", 0), ("30s", 30), ("10m", 600), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "7", "d", "-1d", "1.5h", "1w", "7\u{e9}", "99999999999s"] {
            parse(text).unwrap_err();
        }
    }
}
