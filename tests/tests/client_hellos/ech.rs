//! Encrypted Client Hello for a server without its keys. Such a server cannot read the sealed content, so these hellos
//! seal nothing: only the form and the number of bytes are right.

use rustls::Error;
use rustls::client::{EchConfig, EchGreaseConfig, EchMode};
use rustls::crypto::hpke::{
    EncapsulatedSecret, Hpke, HpkeOpener, HpkePrivateKey, HpkePublicKey, HpkeSealer, HpkeSuite,
};
use rustls::internal::msgs::enums::{HpkeAead, HpkeKdf, HpkeKem};
use rustls::internal::msgs::handshake::HpkeSymmetricCipherSuite;
use rustls::pki_types::EchConfigListBytes;

/// The length of an X25519 key, and of a tag.
const KEY: usize = 32;
const TAG: usize = 16;

/// The extension of a client without a configuration (GREASE), which hides the clients that have one.
pub(super) fn grease() -> EchMode {
    EchGreaseConfig::new(&Unreadable, HpkePublicKey(vec![1; KEY])).into()
}

/// The extension of a client with a configuration for a name, which it hides behind `public_name`.
pub(super) fn hiding_behind(public_name: &str) -> Result<EchMode, Error> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let suites = [0, 1, 0, 1]; // HKDF-SHA256, AES-128-GCM
    let contents = [
        &[7, 0, 0x20], // its number, X25519
        length(&[0; KEY]).as_slice(),
        &[1; KEY],
        &length(&suites),
        &suites,
        &[64, u8::try_from(public_name.len()).unwrap_or(u8::MAX)],
        public_name.as_bytes(),
        &[0, 0],
    ]
    .concat();
    let config = [&[0xfe, 0x0d], length(&contents).as_slice(), &contents].concat();
    let list = [length(&config).as_slice(), &config].concat();
    Ok(EchConfig::new(EchConfigListBytes::from(list), &[&Unreadable])?.into())
}

/// An HPKE implementation whose sealed content nobody can open.
#[derive(Debug)]
struct Unreadable;

impl Hpke for Unreadable {
    fn seal(
        &self,
        _: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        _: &HpkePublicKey,
    ) -> Result<(EncapsulatedSecret, Vec<u8>), Error> {
        Ok((EncapsulatedSecret(vec![2; KEY]), HpkeSealer::seal(&mut Self, aad, plaintext)?))
    }

    fn setup_sealer(
        &self,
        _: &[u8],
        _: &HpkePublicKey,
    ) -> Result<(EncapsulatedSecret, Box<dyn HpkeSealer + 'static>), Error> {
        Ok((EncapsulatedSecret(vec![2; KEY]), Box::new(Self)))
    }

    fn open(
        &self,
        _: &EncapsulatedSecret,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &HpkePrivateKey,
    ) -> Result<Vec<u8>, Error> {
        Err(Error::General("nothing is opened here".to_owned()))
    }

    fn setup_opener(
        &self,
        _: &EncapsulatedSecret,
        _: &[u8],
        _: &HpkePrivateKey,
    ) -> Result<Box<dyn HpkeOpener + 'static>, Error> {
        Err(Error::General("nothing is opened here".to_owned()))
    }

    fn generate_key_pair(&self) -> Result<(HpkePublicKey, HpkePrivateKey), Error> {
        Ok((HpkePublicKey(vec![1; KEY]), vec![1; KEY].into()))
    }

    fn suite(&self) -> HpkeSuite {
        let sym = HpkeSymmetricCipherSuite { kdf_id: HpkeKdf::HKDF_SHA256, aead_id: HpkeAead::AES_128_GCM };
        HpkeSuite { kem: HpkeKem::DHKEM_X25519_HKDF_SHA256, sym }
    }
}

impl HpkeSealer for Unreadable {
    fn seal(&mut self, _: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![3; plaintext.len() + TAG])
    }
}
