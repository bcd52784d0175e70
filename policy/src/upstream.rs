//! A rule's own upstream: the server that gets its requests instead of the requested host, and how that server is
//! verified.

use core::fmt;

use xxhash_rust::xxh3::Xxh3;

use crate::host::Host;
use crate::sessions::Sessions;
use crate::wire::{Image, UpstreamRecord};

/// A distinct `upstream` of a policy. A key that it leaves out keeps the default of a request without `upstream`.
#[derive(Clone, Copy)]
pub struct Upstream<'p> {
    image: &'p Image,
    record: UpstreamRecord,
}

impl<'p> Upstream<'p> {
    pub(crate) fn new(image: &'p Image, record: UpstreamRecord) -> Upstream<'p> {
        Upstream { image, record }
    }

    /// The canonical host to connect to, a name or an address. `None` means the request's host.
    #[must_use]
    pub fn host(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.host)
    }

    /// The port to connect to. `None` means the request's port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.record.port
    }

    /// The server name to send, canonical, if the document sets one.
    #[must_use]
    pub fn sni(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.sni)
    }

    /// The server name that is independent of the request: [`Self::sni`], else the host to connect to if that is a
    /// name.
    #[must_use]
    pub fn server_name(&self) -> Option<&'p str> {
        let named = |host: &&str| Host::parse_upstream(host.as_bytes()).is_ok_and(|host| !host.is_address());
        self.sni().or_else(|| self.host().filter(named))
    }

    /// The names in the document, canonical and sorted. The server's certificate must carry one of them. If the list
    /// is empty, the certificate must carry the server name: [`Self::server_name`], else the request's host.
    pub fn names(&self) -> impl Iterator<Item = &'p str> + use<'p> {
        self.image.upstream_names(&self.record)
    }

    /// The file with the roots that replace the default ones, as written: relative to the policy's file.
    #[must_use]
    pub fn ca(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.ca)
    }

    /// The file with the certificate that Envoy presents to the server, as written. A key always accompanies it.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.client_certificate)
    }

    /// The file with the key of the client certificate, as written.
    #[must_use]
    pub fn client_key(&self) -> Option<&'p str> {
        self.image.optional_text(self.record.client_key)
    }

    /// A hash that is equal for equal upstreams, across policies, and differs for different ones.
    #[must_use]
    pub fn key(&self) -> u64 {
        let mut hash = Xxh3::new();
        let port = self.port().map(|port| port.to_string());
        let one_each = [
            self.host(),
            port.as_deref(),
            self.sni(),
            self.ca(),
            self.client_certificate(),
            self.client_key(),
        ];
        for text in one_each.into_iter().chain(self.names().map(Some)) {
            // No text contains a NUL, and no text is empty.
            hash.update(text.unwrap_or_default().as_bytes());
            hash.update(&[0]);
        }
        hash.update(&[self.sessions().byte()]);
        hash.digest()
    }

    /// Whether Envoy resumes sessions with the upstream.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.record.sessions
    }
}

impl PartialEq for Upstream<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.host() == other.host()
            && self.port() == other.port()
            && self.sni() == other.sni()
            && self.names().eq(other.names())
            && self.ca() == other.ca()
            && self.client_certificate() == other.client_certificate()
            && self.client_key() == other.client_key()
            && self.sessions() == other.sessions()
    }
}

impl Eq for Upstream<'_> {}

impl fmt::Debug for Upstream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("host", &self.host())
            .field("port", &self.port())
            .field("sni", &self.sni())
            .field("names", &self.names().collect::<Vec<_>>())
            .field("ca", &self.ca())
            .field("client_certificate", &self.client_certificate())
            .field("client_key", &self.client_key())
            .field("sessions", &self.sessions())
            .finish()
    }
}

#[cfg(all(test, feature = "compile"))]
mod tests {
    use std::collections::HashSet;

    use crate::compile;

    /// Returns the keys of a policy whose rules have these upstreams.
    fn keys(upstreams: &[&str]) -> Vec<u64> {
        let rule = |(index, upstream): (usize, &&str)| {
            format!(
                "- {{id: r{index}, effect: allow, hosts: [h{index}.example], upstream: {{{upstream}}}}}\n"
            )
        };
        let document = format!("rules:\n{}", upstreams.iter().enumerate().map(rule).collect::<String>());
        compile(&document).unwrap().upstreams().map(|upstream| upstream.key()).collect()
    }

    #[test]
    fn a_key_follows_the_upstream_and_not_its_place() {
        let different = [
            "host: a.example",
            "sni: a.example",
            "names: [a.example]",
            "host: a.example, sni: b.example",
            "sni: a.example, names: [b.example]",
            "names: [a.example, b.example]",
            "port: 443",
            "ca: a.example",
            "sessions: none",
            "host: a.example, port: 443, sessions: none",
        ];
        let forth = keys(&different);
        let back = keys(&different.iter().copied().rev().collect::<Vec<_>>());
        assert_eq!(forth, back.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(forth.iter().collect::<HashSet<_>>().len(), different.len());
    }

    #[test]
    fn an_address_is_no_server_name() {
        let policy = compile(
            "rules:
- {id: a, effect: allow, hosts: [a.example], upstream: {host: 10.0.0.1}}
- {id: b, effect: allow, hosts: [b.example], upstream: {host: c.example}}
- {id: c, effect: allow, hosts: [c.example], upstream: {host: c.example, sni: d.example}}
- {id: d, effect: allow, hosts: [d.example], upstream: {port: 8443}}
- {id: e, effect: allow, hosts: [e.example], upstream: {host: a_b}}
",
        );
        let names: Vec<_> =
            policy.unwrap().upstreams().map(|upstream| upstream.server_name().map(str::to_owned)).collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(names, [None, named("c.example"), named("d.example"), None, named("a_b")]);
    }
}
