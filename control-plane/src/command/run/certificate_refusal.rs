//! The advice for a client that refused the certificate.

use serde::Serialize;

use crate::decision_log::refused_certificate::{CertificateAlert, RefusalSign, RefusedCertificate};
use crate::output::report::url_text;

/// In place of the name of an alert that Envoy cannot read.
const UNREADABLE: &str = "unreadable";

/// The line of a refused certificate with `--json`.
#[derive(Debug, Serialize)]
pub(super) struct CertificateRefusal<'a> {
    time: u64,
    phase: &'static str,
    host: Option<&'a str>,
    client: Option<&'a str>,
    alert: Option<&'static str>,
    help: &'static str,
}

impl<'a> CertificateRefusal<'a> {
    pub(super) fn new(refused: &'a RefusedCertificate) -> Self {
        let alert = match refused.sign {
            RefusalSign::Alert(alert) => Some(alert.as_str()),
            RefusalSign::UnreadableAlert => Some(UNREADABLE),
            RefusalSign::Closed => None,
        };
        Self {
            time: refused.time,
            phase: "certificate_refused",
            host: refused.server_name.as_deref(),
            client: refused.client.as_deref(),
            alert,
            help: help(refused),
        }
    }

    /// The message for a person, without the help.
    pub(super) fn message(&self) -> String {
        let host = self.host.map_or("no server name".to_owned(), |host| format!("`{}`", url_text(host)));
        match self.alert {
            Some(UNREADABLE) => {
                format!("a client refused Weir's certificate ({host}; an alert of OpenSSL over TLS 1.3)")
            }
            Some(alert) => format!("a client refused Weir's certificate ({host}; alert `{alert}`)"),
            None => format!(
                "a client closed its connection after the TLS handshake, without a request ({host}): it may not trust \
                 Weir's certificate"
            ),
        }
    }

    pub(super) fn help(&self) -> &'static str {
        self.help
    }
}

/// Names the variables of the programs that show this sign.
fn help(refused: &RefusedCertificate) -> &'static str {
    use CertificateAlert as Alert;
    match refused.sign {
        _ if refused.server_name.is_none() => {
            "the client sent no server name, and Weir makes no certificate for an IP address: use a host name"
        }
        RefusalSign::Alert(Alert::CertificateExpired) => "compare the clock of the client with Weir's",
        RefusalSign::Alert(Alert::BadCertificate) => {
            "Go reads `SSL_CERT_FILE`. docs/running.md lists the variables of other programs; one that pins certificates \
             needs a rule with `tls: passthrough`"
        }
        RefusalSign::Alert(Alert::CertificateUnknown) => {
            "Java reads `JAVA_TOOL_OPTIONS`, and Chromium the user's NSS database. docs/running.md lists the settings of \
             other programs; one that pins certificates needs a rule with `tls: passthrough`"
        }
        RefusalSign::Closed => {
            "Node.js reads `NODE_EXTRA_CA_CERTS`, npm `npm_config_cafile`, and wget needs `--ca-certificate`. \
             docs/running.md lists the settings of other programs"
        }
        RefusalSign::UnreadableAlert
        | RefusalSign::Alert(Alert::UnknownCa | Alert::UnsupportedCertificate | Alert::CertificateRevoked) => {
            "OpenSSL and rustls read `SSL_CERT_FILE`, curl `CURL_CA_BUNDLE`, and Python's requests `REQUESTS_CA_BUNDLE`. \
             docs/running.md lists the variables of other programs; one that pins certificates needs a rule with \
             `tls: passthrough`"
        }
    }
}
