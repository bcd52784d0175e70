//! What a connected Envoy can do, and so which form of each resource it is served.

use crate::envoy_version::EnvoyVersion;

/// How the upstream TLS contexts keep hosts that share an IP address apart.
///
/// Before 1.40 an Envoy TLS context keeps one list of client sessions for all hosts, offers the newest to every
/// new connection, and verifies the certificate of a resumed session against the new name: the second host on
/// an address fails with CERTIFICATE_VERIFY_FAILED, in either order (measured on 1.36.2 to 1.39.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamTlsStrategy {
    /// One context that resumes; Envoy itself scopes sessions by SNI (1.40.0 and later).
    SniScopedSessions,
    /// One context that keeps no session: always right, every handshake a full one.
    NoSessions,
}

impl UpstreamTlsStrategy {
    /// The strategy for a node; an unknown build gets the one that is right everywhere.
    pub fn for_version(version: Option<EnvoyVersion>) -> Self {
        match version {
            Some(version) if version >= EnvoyVersion::new(1, 40, 0) => Self::SniScopedSessions,
            Some(_) | None => Self::NoSessions,
        }
    }

    /// The name used in configuration and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SniScopedSessions => "sni_scoped_sessions",
            Self::NoSessions => "no_sessions",
        }
    }
}

/// How interception certificates reach Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafDelivery {
    /// `on_demand_secret` with the SNI mapper asks at the handshake: any name has a leaf (Envoy 1.37 and later,
    /// delta xDS, since state-of-the-world has no way to refuse a name).
    OnDemand,
    /// The certificates of the policy's own names are configured in advance; other names have none, so that
    /// their denial happens at CONNECT.
    InAdvance,
}

/// Whether Envoy can tell who the upstream showed itself to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamPeer {
    /// Formats work in the tags of its access log (Envoy 1.37 and later).
    Logged,
    /// They are rejected.
    Unknown,
}

/// The two xDS protocols that an Envoy may speak on its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `DeltaAggregatedResources`
    Delta,
    /// `StreamAggregatedResources`
    StateOfTheWorld,
}

/// Everything about a node that changes what it is served. Nodes with equal capabilities share one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// Which upstream TLS contexts.
    pub upstream_tls: UpstreamTlsStrategy,
    /// Which downstream certificates.
    pub leaf_delivery: LeafDelivery,
    /// What is known of the upstream's certificate.
    pub upstream_peer: UpstreamPeer,
}

impl Capabilities {
    /// What a node of this version may be served on a stream of this protocol.
    pub fn of(version: Option<EnvoyVersion>, protocol: Protocol) -> Self {
        let since_1_37 = version.is_some_and(|version| version >= EnvoyVersion::new(1, 37, 0));
        let leaf_delivery = match protocol {
            Protocol::Delta if since_1_37 => LeafDelivery::OnDemand,
            Protocol::Delta | Protocol::StateOfTheWorld => LeafDelivery::InAdvance,
        };
        let upstream_peer = if since_1_37 { UpstreamPeer::Logged } else { UpstreamPeer::Unknown };
        Self { upstream_tls: UpstreamTlsStrategy::for_version(version), leaf_delivery, upstream_peer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(version: &str) -> Capabilities {
        Capabilities::of(Some(version.parse().unwrap()), Protocol::Delta)
    }

    #[test]
    fn sessions_are_kept_only_where_envoy_scopes_them_by_sni() {
        assert_eq!(delta("1.36.2").upstream_tls, UpstreamTlsStrategy::NoSessions);
        assert_eq!(delta("1.39.3").upstream_tls, UpstreamTlsStrategy::NoSessions);
        assert_eq!(delta("1.40.0").upstream_tls, UpstreamTlsStrategy::SniScopedSessions);
    }

    #[test]
    fn an_unknown_build_gets_what_is_right_everywhere() {
        let unknown = Capabilities::of(None, Protocol::Delta);
        assert_eq!(unknown.upstream_tls, UpstreamTlsStrategy::NoSessions);
        assert_eq!(unknown.leaf_delivery, LeafDelivery::InAdvance);
    }

    #[test]
    fn leaves_are_made_on_demand_from_1_37_over_delta_only() {
        assert_eq!(delta("1.36.2").leaf_delivery, LeafDelivery::InAdvance);
        assert_eq!(delta("1.37.0").leaf_delivery, LeafDelivery::OnDemand);
        let sotw = Capabilities::of(Some(EnvoyVersion::new(1, 40, 0)), Protocol::StateOfTheWorld);
        assert_eq!(sotw.leaf_delivery, LeafDelivery::InAdvance);
    }
}
