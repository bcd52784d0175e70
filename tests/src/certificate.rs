//! Test certificate authorities and the server certificates they sign.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A test root CA with a fresh key.
#[derive(Debug)]
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl CertificateAuthority {
    /// Creates a self-signed root with this common name.
    pub fn new(common_name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The root's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for these names, for a server or a client. A name is a DNS name or an IP address in text.
    pub fn issue(&self, names: &[&str]) -> Result<ServerCertificate> {
        self.sign(&leaf(names)?)
    }

    /// Issues a certificate that was valid only in the year 2001.
    pub fn issue_expired(&self, names: &[&str]) -> Result<ServerCertificate> {
        let mut params = leaf(names)?;
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(&params)
    }

    /// Issues a client certificate for this name.
    pub fn issue_client(&self, name: &str) -> Result<ServerCertificate> {
        let mut params = leaf(&[name])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    /// Creates a subordinate CA that may have one more CA below it. Returns its certificate and its key (PKCS#8),
    /// both PEM.
    pub fn subordinate(&self, common_name: &str) -> Result<(String, String)> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ServerCertificate { chain_pem, key_pem } = self.sign(&params)?;
        Ok((chain_pem, key_pem))
    }

    fn sign(&self, params: &CertificateParams) -> Result<ServerCertificate> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerCertificate { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

impl ServerCertificate {
    /// Creates a self-signed certificate for these names.
    pub fn self_signed(names: &[&str]) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = leaf(names)?.self_signed(&key)?;
        Ok(Self { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn leaf(names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = named(names.first().unwrap_or(&"no name"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// The certificate that a TLS server presents, with its key.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    /// The certificate, PEM.
    pub chain_pem: String,
    /// The private key, PKCS#8 PEM.
    pub key_pem: String,
}

/// The roots of `authorities` in one PEM text, as `--upstream-ca` takes it.
pub fn bundle(authorities: &[&CertificateAuthority]) -> String {
    authorities.iter().map(|authority| authority.pem()).collect()
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
