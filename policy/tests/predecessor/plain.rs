//! The plain spelling of a request, made without the code that is tested: Weir reads both spellings alike, and the
//! predecessor compared bytes.

use weir_policy::Scheme;

use crate::request::Request;

/// The host in lower case, without its final dot and without the scheme's own port.
pub(crate) fn authority(request: &Request) -> Request {
    let port = if request.scheme() == Scheme::Https { ":443" } else { ":80" };
    let host = request.host.to_ascii_lowercase();
    let host = host.strip_suffix(port).unwrap_or(&host);
    Request { host: host.strip_suffix('.').unwrap_or(host).to_owned(), ..request.clone() }
}

/// Escapes decoded, empty and dot segments gone. An encoded separator, escape or question mark stays as it is.
pub(crate) fn path(request: &Request) -> Request {
    let (path, query) = match request.path.find('?') {
        Some(query) => request.path.split_at(query),
        None => (request.path.as_str(), ""),
    };
    let Some(decoded) = decode(path) else { return request.clone() };
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if kept.is_empty() || !decoded.ends_with('/') { "" } else { "/" };
    Request { path: format!("/{}{end}{query}", kept.join("/")), ..request.clone() }
}

/// The path in lower case.
pub(crate) fn case(request: &Request) -> Request {
    let (path, query) = match request.path.find('?') {
        Some(query) => request.path.split_at(query),
        None => (request.path.as_str(), ""),
    };
    Request { path: format!("{}{query}", path.to_ascii_lowercase()), ..request.clone() }
}

/// Returns the request without its query. A git discovery keeps its query, which names the operation.
pub(crate) fn query(request: &Request) -> Request {
    let path = request.path.split('?').next().unwrap_or_default();
    if path.to_ascii_lowercase().trim_end_matches('/').ends_with("/info/refs") {
        return request.clone();
    }
    Request { path: path.to_owned(), ..request.clone() }
}

fn decode(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        if !byte.is_ascii_graphic() || matches!(byte, b'/' | b'\\' | b'%' | b'?') {
            decoded.push('%');
            decoded += part.get(..2)?;
        } else {
            decoded.push(char::from(byte));
        }
        decoded += part.get(2..)?;
    }
    Some(decoded)
}
