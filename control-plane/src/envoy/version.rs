//! The version of a node's Envoy. It decides the upstream TLS strategy and the way that certificates reach the node.

mod security_fixes;

use std::fmt;
use std::str::FromStr;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;

pub use security_fixes::MissingSecurityFixes;

/// A release of Envoy. The order is that of the releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvoyVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl EnvoyVersion {
    /// Creates the version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads the version that a node reports (`user_agent_build_version`).
    ///
    /// Returns `None` for a client that is not Envoy, that reports no build version, or whose build was modified
    /// (`revision.status` other than `Clean`). The version number proves nothing then.
    pub fn of_node(node: &Node) -> Option<Self> {
        if node.user_agent_name != "envoy" {
            return None;
        }
        let build = match node.user_agent_version_type.as_ref()? {
            UserAgentVersionType::UserAgentBuildVersion(build) => build,
            UserAgentVersionType::UserAgentVersion(_) => return None,
        };
        let status = build.metadata.as_ref().and_then(|metadata| metadata.fields.get("revision.status"));
        let clean = status.is_some_and(|value| {
            use envoy_types::pb::google::protobuf::value::Kind;
            matches!(&value.kind, Some(Kind::StringValue(status)) if status == "Clean")
        });
        let version = build.version.as_ref().filter(|_| clean)?;
        Some(Self::new(version.major_number, version.minor_number, version.patch))
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// An error for a text that is not `major.minor.patch`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an Envoy version: expected three numbers, as in `1.40.0`")]
pub struct InvalidEnvoyVersion(String);

impl FromStr for EnvoyVersion {
    type Err = InvalidEnvoyVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidEnvoyVersion(text.to_owned());
        let mut numbers = text.split('.').map(str::parse::<u32>);
        let mut next = || numbers.next().and_then(Result::ok).ok_or_else(invalid);
        let version = Self::new(next()?, next()?, next()?);
        if numbers.next().is_some() { Err(invalid()) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::BuildVersion;
    use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
    use envoy_types::pb::google::protobuf::value::Kind;
    use envoy_types::pb::google::protobuf::{Struct, Value};

    use super::*;

    fn node(name: &str, status: &str) -> Node {
        let metadata = Struct {
            fields: [(
                "revision.status".to_owned(),
                Value { kind: Some(Kind::StringValue(status.to_owned())) },
            )]
            .into(),
        };
        Node {
            user_agent_name: name.to_owned(),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(BuildVersion {
                version: Some(SemanticVersion { major_number: 1, minor_number: 39, patch: 3 }),
                metadata: Some(metadata),
            })),
            ..Node::default()
        }
    }

    #[test]
    fn a_clean_release_is_known() {
        assert_eq!(EnvoyVersion::of_node(&node("envoy", "Clean")), Some(EnvoyVersion::new(1, 39, 3)));
    }

    #[test]
    fn a_modified_build_is_unknown() {
        assert_eq!(EnvoyVersion::of_node(&node("envoy", "Modified")), None);
    }

    #[test]
    fn another_client_is_unknown() {
        assert_eq!(EnvoyVersion::of_node(&node("grpc-go", "Clean")), None);
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        let older: EnvoyVersion = "1.9.10".parse().unwrap();
        assert!(older < "1.36.2".parse().unwrap());
    }

    #[test]
    fn a_version_has_three_numbers() {
        assert!("1.40".parse::<EnvoyVersion>().is_err());
        assert!("1.40.0.1".parse::<EnvoyVersion>().is_err());
    }
}
