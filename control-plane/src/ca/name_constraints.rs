//! Name constraints (RFC 5280, 4.2.1.10): the names that a CA may sign for.
//!
//! They bind whoever has the CA's key, because clients check them. So they stand on the root, whose key lies on a disk;
//! on an intermediate that lives in the same memory as the root's key they would bind nobody.

use std::fmt;

use rcgen::{CidrSubnet, GeneralSubtree};
use weir_policy::Host;
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};

/// The names that a CA may sign for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// These and everything below them; all names if there are none.
    permitted: Vec<String>,
    /// Not these, nor anything below them.
    excluded: Vec<String>,
}

impl NameConstraints {
    /// Only these hosts and everything below them.
    #[must_use]
    pub fn permitting(hosts: &[Host]) -> Self {
        Self { permitted: hosts.iter().map(|host| host.as_str().to_owned()).collect(), excluded: Vec::new() }
    }

    /// Those of a certificate. The error says what cannot be kept.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Result<Self, String> {
        let mut constraints = Self::default();
        for extension in certificate.extensions() {
            let ParsedExtension::NameConstraints(found) = extension.parsed_extension() else { continue };
            for subtree in found.permitted_subtrees.iter().flatten() {
                if let GeneralName::DNSName(name) = &subtree.base {
                    constraints.permitted.push(name.to_ascii_lowercase());
                } else if let GeneralName::DirectoryName(_) = &subtree.base {
                    // The subject of a leaf is the name of its host, which is in no such tree.
                    return Err("its name constraints permit some subjects only".to_owned());
                }
            }
            for subtree in found.excluded_subtrees.iter().flatten() {
                if let GeneralName::DNSName(name) = &subtree.base {
                    constraints.excluded.push(name.to_ascii_lowercase());
                }
            }
        }
        Ok(constraints)
    }

    /// Whether a leaf for this name would verify.
    #[must_use]
    pub fn permit(&self, host: &Host) -> bool {
        let within = |tree: &String| is_within(host.as_str(), tree);
        (self.permitted.is_empty() || self.permitted.iter().any(within)) && !self.excluded.iter().any(within)
    }

    /// Whether there are names that it may not sign for.
    #[must_use]
    pub fn are_some(&self) -> bool {
        !self.permitted.is_empty() || !self.excluded.is_empty()
    }

    /// For a certificate to be made. Addresses are another kind of name, which would be free if they were not excluded.
    pub(super) fn for_certificate(&self) -> Option<rcgen::NameConstraints> {
        let names = |names: &[String]| names.iter().cloned().map(GeneralSubtree::DnsName).collect::<Vec<_>>();
        let addresses = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];
        let excluded =
            names(&self.excluded).into_iter().chain(addresses.map(GeneralSubtree::IpAddress)).collect();
        self.are_some().then(|| rcgen::NameConstraints {
            permitted_subtrees: names(&self.permitted),
            excluded_subtrees: excluded,
        })
    }
}

impl fmt::Display for NameConstraints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.permitted.as_slice() {
            [] => formatter.write_str("any")?,
            permitted => write!(formatter, "{} and below", permitted.join(", "))?,
        }
        if !self.excluded.is_empty() {
            write!(formatter, ", but not {}", self.excluded.join(", "))?;
        }
        Ok(())
    }
}

/// A tree holds its name and everything below it; one that begins with a dot, only what is below (OpenSSL and Go read
/// it so); the empty one holds every name.
fn is_within(host: &str, tree: &str) -> bool {
    if tree.is_empty() {
        return true;
    }
    let Some(rest) = host.strip_suffix(tree) else { return false };
    rest.is_empty() && !tree.starts_with('.')
        || tree.starts_with('.') && !rest.is_empty()
        || rest.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::super::tests::host;
    use super::*;

    #[test]
    fn a_tree_holds_its_name_and_what_is_below_and_nothing_beside_it() {
        let constraints = NameConstraints {
            permitted: vec!["a.example".to_owned(), ".b.example".to_owned()],
            excluded: vec!["no.a.example".to_owned()],
        };
        for name in ["a.example", "x.a.example", "x.y.a.example", "x.b.example"] {
            assert!(constraints.permit(&host(name)), "{name}");
        }
        for name in ["xa.example", "example", "b.example", "xb.example", "no.a.example", "x.no.a.example"] {
            assert!(!constraints.permit(&host(name)), "{name}");
        }
        assert!(NameConstraints::default().permit(&host("any.example")));
    }
}
