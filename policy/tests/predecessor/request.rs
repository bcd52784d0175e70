//! A request as the predecessor saw it.

use serde_json::{Value, json};
use weir_policy::Scheme;

/// What OPA was asked about. All of it text that has no tabulator and no line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The name of the certificate that the proxy served; none over plain http.
    pub(crate) principal: Option<String>,
    pub(crate) host: String,
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
}

impl Request {
    /// As Envoy's external authorization told it to OPA.
    pub(crate) fn input(&self) -> Value {
        let destination = match &self.principal {
            Some(principal) => json!({ "principal": principal }),
            None => json!({}),
        };
        let http = json!({ "method": self.method, "host": self.host, "path": self.path });
        json!({ "attributes": { "request": { "http": http }, "destination": destination } })
    }

    /// As Weir's filter sees it: the certificate was chosen by the server name that the client sent.
    pub(crate) fn for_weir(&self) -> weir_policy::Request<'_> {
        weir_policy::Request {
            scheme: self.scheme(),
            authority: self.host.as_bytes(),
            method: self.method.as_bytes(),
            path: self.path.as_bytes(),
            sni: self.principal.as_deref().map(str::as_bytes),
            tunnel: None,
        }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.principal.is_some() { Scheme::Https } else { Scheme::Http }
    }
}
