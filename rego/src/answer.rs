//! A policy's answer to a request.

use regorus::Value;

use crate::limits;

/// An answer: a boolean, or an object in the form of OPA's Envoy plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the policy allows the request.
    pub allowed: bool,
    /// The reason of a denial, in the policy's own words.
    pub reason: Option<String>,
    /// The status of a denial, 400 to 599.
    pub status: Option<u16>,
    /// The body of a denial.
    pub body: Option<String>,
    /// The headers of a denial, with names in lower case. Only headers that are safe to send are accepted.
    pub headers: Vec<(String, String)>,
}

/// An error for a value that is not an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnswer {
    /// No rule gives a value.
    #[error("the query is undefined")]
    Undefined,
    /// The value is neither a boolean nor an object.
    #[error("the answer is neither a boolean nor an object")]
    Kind,
    /// The object has no boolean `allowed`.
    #[error("the answer has no boolean `allowed`")]
    Allowed,
    /// The object has a key that Weir does not implement.
    #[error("the answer has the key `{0}`, which is not carried out")]
    Key(String),
    /// The status is not one of a denial.
    #[error("`http_status` is not a number from 400 to 599")]
    Status,
    /// A value is not text, or the text is too long.
    #[error("`{0}` is not text of at most {1} bytes")]
    Text(&'static str, usize),
    /// A header is not allowed, or there are too many.
    #[error("`headers` has a name or value that an answer may not carry")]
    Header,
    /// An allowing answer has headers.
    #[error("the answer allows and has `headers`: a request that goes out is not changed")]
    HeadersOfAllow,
}

/// Headers that an answer may contain beside `x-…` ones.
const HEADERS: [&str; 4] = ["content-language", "link", "retry-after", "www-authenticate"];
/// Prefixes of Weir's and Envoy's own headers.
const RESERVED: [&str; 4] = ["x-weir-", "x-envoy-", "x-forwarded-", "x-request-id"];

impl Answer {
    pub(crate) fn from_value(value: &Value) -> Result<Answer, InvalidAnswer> {
        let object = match value {
            Value::Bool(allowed) => return Ok(Answer { allowed: *allowed, ..Answer::default() }),
            Value::Object(object) => object,
            Value::Undefined => return Err(InvalidAnswer::Undefined),
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Set(_) => {
                return Err(InvalidAnswer::Kind);
            }
        };
        let mut answer = Answer::default();
        let mut allowed = None;
        for (key, value) in object.iter() {
            match key.as_string().map(AsRef::as_ref) {
                Ok("allowed") => allowed = value.as_bool().ok().copied(),
                Ok("reason") => answer.reason = Some(text(value, "reason", limits::REASON_BYTES)?),
                Ok("body") => answer.body = Some(text(value, "body", limits::BODY_BYTES)?),
                Ok("headers") => answer.headers = headers(value)?,
                Ok("http_status") => {
                    let status = value.as_u16().ok().filter(|status| (400..600).contains(status));
                    answer.status = Some(status.ok_or(InvalidAnswer::Status)?);
                }
                Ok(other) => return Err(InvalidAnswer::Key(other.chars().take(64).collect())),
                Err(_) => return Err(InvalidAnswer::Kind),
            }
        }
        answer.allowed = allowed.ok_or(InvalidAnswer::Allowed)?;
        if answer.allowed && !answer.headers.is_empty() {
            return Err(InvalidAnswer::HeadersOfAllow);
        }
        Ok(answer)
    }
}

fn text(value: &Value, key: &'static str, limit: usize) -> Result<String, InvalidAnswer> {
    let text = value.as_string().ok().filter(|text| text.len() <= limit);
    text.map(ToString::to_string).ok_or(InvalidAnswer::Text(key, limit))
}

fn headers(value: &Value) -> Result<Vec<(String, String)>, InvalidAnswer> {
    let object = value.as_object().ok().filter(|object| object.len() <= limits::HEADERS);
    let object = object.ok_or(InvalidAnswer::Header)?;
    let header = |(name, value): (&Value, &Value)| {
        let name = name.as_string().ok()?.to_ascii_lowercase();
        let value = value.as_string().ok()?.to_string();
        (is_safe_name(&name) && is_safe_value(&name, &value)).then_some((name, value))
    };
    let mut found: Vec<_> = object.iter().map(header).collect::<Option<_>>().ok_or(InvalidAnswer::Header)?;
    found.sort_unstable();
    Ok(found)
}

fn is_safe_name(name: &str) -> bool {
    let token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let own = name.starts_with("x-") && !RESERVED.iter().any(|reserved| name.starts_with(reserved));
    token && name.len() <= 64 && (own || HEADERS.contains(&name))
}

/// Returns whether a header value is safe. It may contain a part of the request, and a person may pipe the response
/// head into a shell (`curl -i … | sh`). So the value may contain no character that is special there, except for
/// those that two headers need.
fn is_safe_value(name: &str, value: &str) -> bool {
    let marks: &[u8] = if ["link", "www-authenticate"].contains(&name) { b"<>;\"" } else { b"" };
    let plain = |byte: u8| {
        (0x20..0x7f).contains(&byte) && (!b"$`!\\|&'<>;\"".contains(&byte) || marks.contains(&byte))
    };
    let quotes = value.bytes().filter(|byte| *byte == b'"').count();
    value.len() <= limits::HEADER_BYTES && value.bytes().all(plain) && quotes.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_means_nothing_to_a_shell() {
        for (name, value) in [
            ("x-ticket", "SEC-1: ask (the) owner, 100%"),
            ("link", "<https://example.com/help>; rel=\"help\""),
            ("www-authenticate", "Basic realm=\"a b\""),
            ("retry-after", "60"),
        ] {
            assert!(is_safe_value(name, value), "{name}: {value}");
        }
        for value in [
            "`id`",
            "$(id)",
            "a;id",
            "a|id",
            "a&id",
            "a>b",
            "<(id)",
            "'",
            "\"",
            "a\\",
            "!id",
            "a\nb",
            "\u{1b}[2J",
        ] {
            assert!(!is_safe_value("x-path", value), "{value}");
        }
        assert!(!is_safe_value("link", "<https://example.com/\">"));
    }
}
