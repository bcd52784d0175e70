//! The types of resources that Weir serves.

/// A type of resource. The order is the push order: a resource comes before the resources that refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// CDS
    Cluster,
    /// LDS
    Listener,
    /// RDS
    Route,
    /// ECDS
    ExtensionConfig,
    /// SDS
    Secret,
}

impl ResourceType {
    /// Every type, in push order.
    pub const ALL: [Self; 5] =
        [Self::Cluster, Self::Listener, Self::Route, Self::ExtensionConfig, Self::Secret];

    /// The types of a snapshot, in push order. Secrets are missing, because they are made on request.
    pub const OF_SNAPSHOT: [Self; 4] = [Self::Cluster, Self::Listener, Self::Route, Self::ExtensionConfig];

    /// Returns the type of a type URL, or `None` for a type that Weir does not serve.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }

    /// The type URL.
    pub fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::ExtensionConfig => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// Returns whether a first request without names subscribes to every resource of the type (xDS protocol, "How the
    /// client specifies what resources to return").
    pub fn has_wildcard(self) -> bool {
        match self {
            Self::Cluster | Self::Listener => true,
            Self::Route | Self::ExtensionConfig | Self::Secret => false,
        }
    }

    /// The short name for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Listener => "listener",
            Self::Route => "route table",
            Self::ExtensionConfig => "extension config",
            Self::Secret => "secret",
        }
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
    use envoy_types::pb::envoy::config::listener::v3::Listener;
    use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
    use prost::Name;

    use super::*;

    #[test]
    fn every_type_is_found_by_the_url_of_its_message() {
        let messages = [
            (ResourceType::Cluster, Cluster::type_url()),
            (ResourceType::Listener, Listener::type_url()),
            (ResourceType::Route, RouteConfiguration::type_url()),
            (ResourceType::ExtensionConfig, TypedExtensionConfig::type_url()),
            (ResourceType::Secret, Secret::type_url()),
        ];
        for (kind, url) in messages {
            assert_eq!(ResourceType::of_url(&url), Some(kind));
        }
    }
}
