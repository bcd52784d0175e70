//! A request as the predecessor saw it.

use serde_json::{Value, json};
use weir_policy::Scheme;

/// A question to OPA. Its text contains no tabulator and no line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The name in the certificate that the proxy presented; `None` over plain http.
    pub(crate) principal: Option<String>,
    pub(crate) host: String,
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) path: String,
}

impl Request {
    /// Returns the input that Envoy's external authorization sent to OPA.
    pub(crate) fn input(&self) -> Value {
        let destination = match &self.principal {
            Some(principal) => json!({ "principal": principal }),
            None => json!({}),
        };
        let http = json!({ "method": self.method, "host": self.host, "path": self.path });
        json!({ "attributes": { "request": { "http": http }, "destination": destination } })
    }

    /// Returns the request as Weir's filter reads it. The client's server name chose the certificate.
    pub(crate) fn for_weir(&self) -> weir_policy::Request<'_> {
        weir_policy::Request {
            scheme: self.scheme(),
            authority: self.host.as_bytes(),
            method: self.method.as_bytes(),
            path: self.path.as_bytes(),
            server_name: self.principal.as_deref().map(str::as_bytes),
            tunnel: None,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.principal.is_some() { Scheme::Https } else { Scheme::Http }
    }
}
