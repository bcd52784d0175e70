//! A TLS handshake that verifies as Envoy does, and also returns a certificate that fails verification.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::Verified;
use crate::input::certificate_file;

/// The trusted roots.
#[derive(Debug)]
pub(super) struct Roots(Arc<RootCertStore>);

/// The certificate that a host presented, and its fault.
#[derive(Debug)]
pub(super) struct Handshake {
    /// The certificate in DER.
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) fault: Option<String>,
}

impl Roots {
    /// Combines the system's roots, in DER, with those of a file.
    pub(super) fn new(system: &[&[u8]], added: Option<&Path>) -> anyhow::Result<Self> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(system.iter().map(|der| CertificateDer::from(der.to_vec())));
        if let Some(path) = added {
            add(&mut store, path).context("--upstream-ca")?;
        }
        Ok(Self(Arc::new(store)))
    }

    fn of(&self, target: &Verified) -> anyhow::Result<Arc<RootCertStore>> {
        let Some(path) = &target.ca else { return Ok(Arc::clone(&self.0)) };
        let mut store = RootCertStore::empty();
        add(&mut store, path)?;
        Ok(Arc::new(store))
    }

    /// Makes a handshake.
    pub(super) async fn shake(&self, stream: TcpStream, target: &Verified) -> Handshake {
        let recorder = match self.recorder(target) {
            Ok(recorder) => Arc::new(recorder),
            Err(error) => return Handshake { certificate: None, fault: Some(format!("{error:#}")) },
        };
        let Ok(server_name) = ServerName::try_from(target.server_name.clone()) else {
            return Handshake {
                certificate: None,
                fault: Some(format!("`{}` is no name", target.server_name)),
            };
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.dangerous().with_custom_certificate_verifier(Arc::clone(&recorder) as _));
        let outcome = match config {
            Ok(config) => {
                let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
                connector.connect(server_name, stream).await.map(drop).map_err(|error| words(&error))
            }
            Err(error) => Err(error.to_string()),
        };
        let certificate = recorder.shown.lock().unwrap_or_else(PoisonError::into_inner).take();
        Handshake { certificate, fault: outcome.err() }
    }

    fn recorder(&self, target: &Verified) -> anyhow::Result<Recorder> {
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(self.of(target)?, provider).build()?;
        let names = target.names.iter().map(|name| ServerName::try_from(name.clone()));
        let names = names.collect::<Result<_, _>>().context("a name to verify")?;
        Ok(Recorder { verifier, names, shown: Mutex::default() })
    }
}

fn add(store: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let blocks = pem::parse_many(certificate_file::read(path)?)?;
    for block in blocks {
        store.add(CertificateDer::from(block.into_contents()))?;
    }
    Ok(())
}

/// Describes an error in plain words.
fn words(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    let narrow = [
        AlertDescription::HandshakeFailure,
        AlertDescription::ProtocolVersion,
        AlertDescription::InsufficientSecurity,
    ];
    if matches!(cause, Some(Error::AlertReceived(alert)) if narrow.contains(alert)) {
        return "it offers no version, cipher or curve of TLS that doctor knows. Envoy knows one curve more, P-521; else \
                only a rule with `tls: passthrough` reaches it"
            .to_owned();
    }
    let Some(Error::InvalidCertificate(cause)) = cause else { return error.to_string() };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "another crate's errors, which say themselves what they are"
    )]
    match cause {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::UnknownIssuer => "no trusted root signed its certificate".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for other names".to_owned()
        }
        other => format!("its certificate does not verify: {other}"),
    }
}

/// Verifies a certificate by the roots for any of the names, and records the certificate.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    names: Vec<ServerName<'static>>,
    shown: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        let mut outcome = Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        for name in &self.names {
            outcome = self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
