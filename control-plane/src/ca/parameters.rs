//! The parameters that every certificate of Weir's CA shares.

use rcgen::CertificateParams;

use super::validity::{Validity, x509_time};

/// Parameters with the validity period and the identifier of the issuer's key, by which clients choose between two
/// issuers of one name.
pub(super) fn parameters(validity: Validity) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.use_authority_key_identifier_extension = true;
    parameters.not_before = x509_time(validity.not_before);
    parameters.not_after = x509_time(validity.not_after);
    parameters
}
