//! Name constraints (RFC 5280, 4.2.1.10): the names that a CA may sign for.
//!
//! Clients check name constraints, so the constraints bind everybody who holds the CA's key. They belong on the root,
//! whose key is on disk. On Weir's intermediate they would have no effect, because its key shares the memory of the
//! process with the root's key.

use std::fmt;

use rcgen::{CidrSubnet, GeneralSubtree};
use weir_policy::Host;
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};

/// The names that a CA may sign for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// The permitted names; each includes the names below it. An empty list permits every name.
    permitted: Vec<String>,
    /// The excluded names; each includes the names below it.
    excluded: Vec<String>,
}

impl NameConstraints {
    /// Permits only these hosts and the names below them.
    #[must_use]
    pub fn permitting(hosts: &[Host]) -> Self {
        Self { permitted: hosts.iter().map(|host| host.as_str().to_owned()).collect(), excluded: Vec::new() }
    }

    /// Reads the name constraints of a certificate. The error names a constraint that Weir's leaves cannot satisfy.
    pub(super) fn from_certificate(certificate: &X509Certificate<'_>) -> Result<Self, String> {
        let mut constraints = Self::default();
        for extension in certificate.extensions() {
            let ParsedExtension::NameConstraints(found) = extension.parsed_extension() else { continue };
            for subtree in found.permitted_subtrees.iter().flatten() {
                if let GeneralName::DNSName(name) = &subtree.base {
                    constraints.permitted.push(name.to_ascii_lowercase());
                } else if let GeneralName::DirectoryName(_) = &subtree.base {
                    // A leaf's subject is the name of its host, which lies in no directory subtree.
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

    /// Returns whether these constraints permit a leaf for this host.
    #[must_use]
    pub fn permit(&self, host: &Host) -> bool {
        let within = |tree: &String| is_within(host.as_str(), tree);
        (self.permitted.is_empty() || self.permitted.iter().any(within)) && !self.excluded.iter().any(within)
    }

    /// Returns whether there are any constraints.
    #[must_use]
    pub fn are_some(&self) -> bool {
        !self.permitted.is_empty() || !self.excluded.is_empty()
    }

    /// The constraints in the form that a new certificate needs. They exclude all IP addresses, which are a kind of
    /// name of their own and would otherwise be unconstrained.
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

/// Returns whether a host lies in a subtree. A subtree holds its own name and the names below it. A subtree that
/// begins with a dot holds only the names below (OpenSSL and Go read it so). An empty subtree holds every name.
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
