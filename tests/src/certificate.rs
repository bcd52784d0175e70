//! Test certificate authorities and the server certificates they sign.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A root of its own, with a fresh key.
#[derive(Debug)]
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl CertificateAuthority {
    /// A self-signed root with this common name.
    pub fn new(common_name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The root's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names, of a server or a client: DNS names, or IP addresses in text.
    pub fn issue(&self, names: &[&str]) -> Result<ServerCertificate> {
        self.sign(&leaf(names)?)
    }

    /// The same, but it was valid in the year 2001 only.
    pub fn issue_expired(&self, names: &[&str]) -> Result<ServerCertificate> {
        let mut params = leaf(names)?;
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(&params)
    }

    /// A certificate with which a client of this name proves who it is.
    pub fn issue_client(&self, name: &str) -> Result<ServerCertificate> {
        let mut params = leaf(&[name])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    /// A CA below it that may have one more below itself: its certificate and its key (PKCS#8), both PEM.
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
    /// One for these names that nobody but itself vouches for.
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

/// What a TLS server presents, and the key it proves it with.
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
