//! A URL as people type it, and the URL that a client sends for it.
//!
//! The filter judges the bytes of a request and repairs nothing. Clients repair much before they send a request (WHATWG
//! URL Standard): they encode international names, decode escapes in the host, and read old notations of IPv4 addresses.

use url::Host as ClientHost;
use weir_policy::Host;

/// The URL that a client sends, and a note about each difference that changes the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TypedUrl {
    pub(super) url: String,
    pub(super) notes: Vec<String>,
}

impl TypedUrl {
    /// Converts a URL. A text that is not a URL stays as it is.
    pub(super) fn new(typed: &str) -> Self {
        let mut notes = Vec::new();
        let url = convert(typed, &mut notes).unwrap_or_else(|| typed.to_owned());
        Self { url, notes }
    }
}

fn convert(typed: &str, notes: &mut Vec<String>) -> Option<String> {
    let (scheme, rest) = typed.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let authority = match authority.rsplit_once('@') {
        Some((_, authority)) => {
            notes.push("clients send user information in a header; it is no part of the host".to_owned());
            authority
        }
        None => authority,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let port = port.map(|port| port.parse().map_or_else(|_| port.to_owned(), |port: u16| port.to_string()));
    let port = port.filter(|port| !port.is_empty()).map(|port| format!(":{port}")).unwrap_or_default();
    let host = sent(host, notes);
    let slash = if path.starts_with('?') { "/" } else { "" };
    Some(format!("{}://{host}{port}{slash}{path}", scheme.to_ascii_lowercase()))
}

/// Returns the host that a client sends. A host that clients refuse, or send as it is, stays.
fn sent(host: &str, notes: &mut Vec<String>) -> String {
    if Host::parse(host.as_bytes()).is_ok() {
        return host.to_owned();
    }
    let sent = ClientHost::parse(host).ok().map(|host| host.to_string());
    match sent.filter(|sent| Host::parse(sent.as_bytes()).is_ok()) {
        Some(sent) => {
            notes.push(format!(
                "curl and browsers send {sent} for {host}, which is judged; {host} itself is invalid_host"
            ));
            sent
        }
        None => host.to_owned(),
    }
}

/// Returns the text with a scheme, for a help text: an example if the text has one already.
pub(super) fn in_full(typed: &str) -> String {
    let is_host = !typed.is_empty() && !typed.contains("://") && !typed.starts_with('/');
    if is_host { format!("https://{typed}") } else { "https://example.com/path".to_owned() }
}
