//! A client that refused the certificate that Envoy presented, as a connection's entry in Envoy's log shows it.

use envoy_types::pb::envoy::data::accesslog::v3::{AccessLogCommon, TcpAccessLogEntry};

use super::logged_decision::{milliseconds, socket};

/// The maximum length of a server name, in characters (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;
/// A client that verifies the certificate after the handshake closes the connection at once. Envoy measures from the
/// client's first byte.
const AT_ONCE_SECONDS: i64 = 5;

/// The sign by which a client refuses a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalSign {
    /// The client sent this TLS alert (RFC 8446, section 6.2).
    Alert(CertificateAlert),
    /// The client sent an alert that Envoy cannot read: OpenSSL encrypts no alert before it has verified the certificate
    /// of TLS 1.3, and Envoy reads a packet that is too short to be encrypted.
    UnreadableAlert,
    /// The client closed the connection after the handshake, without a byte of a request. Node.js and GnuTLS verify the
    /// certificate then, and send no alert. A client that trusts the certificate may do so too.
    Closed,
}

/// The alerts that are about the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateAlert {
    BadCertificate,
    UnsupportedCertificate,
    CertificateRevoked,
    CertificateExpired,
    CertificateUnknown,
    UnknownCa,
}

impl CertificateAlert {
    const ALL: [Self; 6] = [
        Self::BadCertificate,
        Self::UnsupportedCertificate,
        Self::CertificateRevoked,
        Self::CertificateExpired,
        Self::CertificateUnknown,
        Self::UnknownCa,
    ];

    /// The name of RFC 8446.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCertificate => "bad_certificate",
            Self::UnsupportedCertificate => "unsupported_certificate",
            Self::CertificateRevoked => "certificate_revoked",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateUnknown => "certificate_unknown",
            Self::UnknownCa => "unknown_ca",
        }
    }
}

/// A certificate that a client refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// The time at which the connection began, in milliseconds since 1970.
    pub time: u64,
    /// The server name that the client sent, in lower case.
    pub server_name: Option<String>,
    /// The client's address and port.
    pub client: Option<String>,
    /// The client's sign of the refusal.
    pub sign: RefusalSign,
}

impl RefusedCertificate {
    /// Reads the entry of a connection over which no request came. Returns `None` if the client shows no sign of a
    /// refusal.
    pub(super) fn from_entry(entry: &TcpAccessLogEntry) -> Option<Self> {
        let common = entry.common_properties.as_ref()?;
        let tls = common.tls_properties.as_ref()?;
        let name: String = tls.tls_sni_hostname.chars().take(LONGEST_NAME).collect();
        Some(Self {
            time: milliseconds(common),
            server_name: Some(name.to_ascii_lowercase()).filter(|name| !name.is_empty()),
            client: common.downstream_remote_address.as_ref().and_then(socket),
            sign: sign(common)?,
        })
    }
}

fn sign(common: &AccessLogCommon) -> Option<RefusalSign> {
    // Such as `TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end`.
    let failure = &common.downstream_transport_failure_reason;
    let mut words = failure.split([':', '|', ' ']).filter_map(|word| word.split_once("_ALERT_"));
    if let Some((_, alert)) = words.next() {
        let known = |known: &CertificateAlert| known.as_str().eq_ignore_ascii_case(alert);
        return CertificateAlert::ALL.into_iter().find(known).map(RefusalSign::Alert);
    }
    if failure.contains("BAD_PACKET_LENGTH") && failure.contains("DECRYPTION_FAILED_OR_BAD_RECORD_MAC") {
        return Some(RefusalSign::UnreadableAlert);
    }
    // Before Envoy has presented a certificate, there is no cipher.
    let has_cipher = common.tls_properties.as_ref().is_some_and(|tls| tls.tls_cipher_suite.is_some());
    let is_closed_at_once =
        common.duration.as_ref().is_some_and(|it| (0..AT_ONCE_SECONDS).contains(&it.seconds));
    // Envoy gives details of a connection that it closes itself. The system's error is that of a closed connection.
    let is_clients = common.connection_termination_details.is_empty()
        && (failure.is_empty() || failure.contains("system"));
    (has_cipher && is_closed_at_once && is_clients).then_some(RefusalSign::Closed)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::data::accesslog::v3::TlsProperties;
    use envoy_types::pb::google::protobuf::{Duration, UInt32Value};

    use super::*;

    /// An entry as Envoy sends it for this failure.
    fn entry(failure: &str) -> TcpAccessLogEntry {
        let tls = TlsProperties {
            tls_sni_hostname: "A.example".to_owned(),
            tls_cipher_suite: Some(UInt32Value { value: 0x1301 }),
            ..TlsProperties::default()
        };
        let common = AccessLogCommon {
            tls_properties: Some(tls),
            downstream_transport_failure_reason: failure.to_owned(),
            duration: Some(Duration { seconds: 0, nanos: 50_000_000 }),
            ..AccessLogCommon::default()
        };
        TcpAccessLogEntry { common_properties: Some(common), connection_properties: None }
    }

    fn changed(failure: &str, change: impl FnOnce(&mut AccessLogCommon)) -> Option<RefusedCertificate> {
        let mut entry = entry(failure);
        change(entry.common_properties.as_mut().unwrap());
        RefusedCertificate::from_entry(&entry)
    }

    /// The words of Envoy 1.36.4 to 1.40.0 for each client.
    #[test]
    fn each_clients_sign_is_read() {
        use CertificateAlert::{BadCertificate, CertificateUnknown, UnknownCa};
        let words = |words: &str| format!("TLS_error:|{words}:TLS_error_end");
        let cases = [
            (
                "268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA",
                Some(RefusalSign::Alert(UnknownCa)),
            ),
            (
                "268436498:SSL_routines:OPENSSL_internal:SSLV3_ALERT_BAD_CERTIFICATE",
                Some(RefusalSign::Alert(BadCertificate)),
            ),
            (
                "268436502:SSL_routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_UNKNOWN",
                Some(RefusalSign::Alert(CertificateUnknown)),
            ),
            (
                "268435568:SSL_routines:OPENSSL_internal:BAD_PACKET_LENGTH|268435595:SSL_routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
                Some(RefusalSign::UnreadableAlert),
            ),
            ("33554536:system_library:OPENSSL_internal:Connection_reset_by_peer", Some(RefusalSign::Closed)),
            ("33554454:system_library:OPENSSL_internal:Invalid_argument", Some(RefusalSign::Closed)),
            ("268436488:SSL_routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE", None),
            ("268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER", None),
        ];
        for (failure, sign) in cases {
            let refused = RefusedCertificate::from_entry(&entry(&words(failure)));
            assert_eq!(refused.map(|refused| refused.sign), sign, "{failure}");
        }
        let refused = RefusedCertificate::from_entry(&entry("")).unwrap();
        assert_eq!((refused.sign, refused.server_name.as_deref()), (RefusalSign::Closed, Some("a.example")));
    }

    #[test]
    fn a_connection_that_lasted_or_that_envoy_closed_or_without_a_certificate_shows_nothing() {
        assert_eq!(changed("", |common| common.duration = Some(Duration { seconds: 100, nanos: 0 })), None);
        let timeout = "transport socket timeout was reached";
        assert_eq!(changed("", |common| common.connection_termination_details = timeout.to_owned()), None);
        let no_cipher = |common: &mut AccessLogCommon| {
            common.tls_properties.as_mut().unwrap().tls_cipher_suite = None;
        };
        assert_eq!(changed("", no_cipher), None);
        assert_eq!(changed("", |common| common.tls_properties = None), None);
    }
}
