//! The capabilities of a connected Envoy, which decide the form of each resource that it gets.

use crate::envoy::version::EnvoyVersion;

/// How upstream TLS contexts keep hosts apart that share an IP address.
///
/// Before 1.40, an Envoy TLS context keeps one list of client sessions for all hosts. It offers the newest session to
/// every new connection, and verifies the certificate of a resumed session against the new name. The second host on
/// an address therefore fails with CERTIFICATE_VERIFY_FAILED, in either order (measured on 1.36.2 to 1.39.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamTlsStrategy {
    /// One context that resumes sessions. Envoy itself scopes them by SNI (1.40.0 and later).
    SniScopedSessions,
    /// A cluster, and so a TLS context, for each host in use, up to a limit
    /// ([`HostContexts`](crate::nodes::host_contexts::HostContexts)). Sessions of one host never meet another host.
    /// Hosts beyond the limit share a context without sessions.
    ContextPerHost,
    /// One context that keeps no sessions. It is right on every Envoy, and every handshake is a full one.
    NoSessions,
}

impl UpstreamTlsStrategy {
    /// The name used in configuration and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SniScopedSessions => "sni_scoped_sessions",
            Self::ContextPerHost => "context_per_host",
            Self::NoSessions => "no_sessions",
        }
    }

    /// Describes how this strategy treats hosts that share an address.
    pub fn for_hosts_on_one_address(self) -> &'static str {
        match self {
            Self::SniScopedSessions => "Envoy keeps their TLS sessions apart by server name",
            Self::ContextPerHost => "each has a TLS context of its own while it is in use",
            Self::NoSessions => {
                "both work, because no TLS session is resumed and every handshake is a full one"
            }
        }
    }
}

/// The operator's choice of strategy for the nodes of a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum UpstreamTlsChoice {
    /// The best that is right on the Envoy that connects
    #[default]
    Auto,
    /// Full handshakes only; right on every Envoy
    NoSessions,
    /// A TLS context for each host in use; right on every Envoy
    ContextPerHost,
    /// One TLS context; right from Envoy 1.40 on, refused on others
    SniScopedSessions,
    /// One strategy on every Envoy, so that a test can show how a wrong one fails.
    #[value(skip)]
    Unchecked(UpstreamTlsStrategy),
}

/// A chosen strategy that is wrong on the node that connected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is refused: {because}; `{}` is used instead", asked.as_str(), instead.as_str())]
pub struct RefusedStrategy {
    /// The chosen strategy.
    pub asked: UpstreamTlsStrategy,
    /// The strategy that the node gets instead.
    pub instead: UpstreamTlsStrategy,
    /// The reason why the chosen strategy is wrong on this node.
    pub because: &'static str,
}

impl UpstreamTlsChoice {
    /// Returns the strategy for a node. A node of unknown version gets the strategy that is right everywhere.
    ///
    /// # Errors
    /// When the choice is wrong on this node.
    pub fn strategy(
        self,
        version: Option<EnvoyVersion>,
        protocol: Protocol,
    ) -> Result<UpstreamTlsStrategy, RefusedStrategy> {
        let scoped = version.is_some_and(|version| version >= EnvoyVersion::new(1, 40, 0));
        match (self, protocol) {
            (Self::Unchecked(strategy), _) => Ok(strategy),
            (Self::NoSessions, _) => Ok(UpstreamTlsStrategy::NoSessions),
            (Self::Auto | Self::SniScopedSessions, _) if scoped => Ok(UpstreamTlsStrategy::SniScopedSessions),
            (Self::Auto, Protocol::Delta) if version.is_some() => Ok(UpstreamTlsStrategy::ContextPerHost),
            (Self::ContextPerHost, Protocol::Delta) => Ok(UpstreamTlsStrategy::ContextPerHost),
            (Self::Auto, Protocol::Delta | Protocol::StateOfTheWorld) => Ok(UpstreamTlsStrategy::NoSessions),
            (Self::SniScopedSessions, Protocol::Delta | Protocol::StateOfTheWorld) => Err(RefusedStrategy {
                asked: UpstreamTlsStrategy::SniScopedSessions,
                instead: UpstreamTlsStrategy::NoSessions,
                because: "only Envoy 1.40 and later keep the TLS sessions of different hosts apart, and others verify \
                          one host's certificate against another's name",
            }),
            // State-of-the-world sends every cluster again for each change, and a reconnecting node does not list the
            // clusters that it holds.
            (Self::ContextPerHost, Protocol::StateOfTheWorld) => Err(RefusedStrategy {
                asked: UpstreamTlsStrategy::ContextPerHost,
                instead: UpstreamTlsStrategy::NoSessions,
                because: "it needs the delta protocol",
            }),
        }
    }
}

/// How interception certificates reach Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafDelivery {
    /// Envoy requests the certificate of any name at the handshake, through `on_demand_secret` with the SNI mapper.
    /// This needs Envoy 1.37 or later and delta xDS, because state-of-the-world cannot refuse a name.
    OnDemand,
    /// The control plane configures certificates for the policy's own names in advance. Other names have none, so
    /// they are denied at CONNECT.
    InAdvance,
}

/// Whether Envoy can log the upstream's certificate identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamPeer {
    /// Envoy's access log can format it in custom tags (Envoy 1.37 and later).
    Logged,
    /// Envoy rejects these formats in access log tags.
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

/// All properties of a node that change its resources. Nodes with equal capabilities share one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// The upstream TLS strategy.
    pub upstream_tls: UpstreamTlsStrategy,
    /// The way that interception certificates reach the node.
    pub leaf_delivery: LeafDelivery,
    /// Whether the node can log the upstream's certificate identity.
    pub upstream_peer: UpstreamPeer,
}

impl Capabilities {
    /// The capabilities of a node of this version on a stream of this protocol.
    pub fn new(version: Option<EnvoyVersion>, protocol: Protocol, choice: UpstreamTlsChoice) -> Self {
        let since_1_37 = version.is_some_and(|version| version >= EnvoyVersion::new(1, 37, 0));
        let leaf_delivery = match protocol {
            Protocol::Delta if since_1_37 => LeafDelivery::OnDemand,
            Protocol::Delta | Protocol::StateOfTheWorld => LeafDelivery::InAdvance,
        };
        let upstream_tls = choice.strategy(version, protocol).unwrap_or_else(|refused| refused.instead);
        let upstream_peer = if since_1_37 { UpstreamPeer::Logged } else { UpstreamPeer::Unknown };
        Self { upstream_tls, leaf_delivery, upstream_peer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(version: &str) -> Capabilities {
        Capabilities::new(Some(version.parse().unwrap()), Protocol::Delta, UpstreamTlsChoice::Auto)
    }

    #[test]
    fn one_context_keeps_sessions_only_where_envoy_scopes_them_by_sni() {
        assert_eq!(delta("1.36.4").upstream_tls, UpstreamTlsStrategy::ContextPerHost);
        assert_eq!(delta("1.39.3").upstream_tls, UpstreamTlsStrategy::ContextPerHost);
        assert_eq!(delta("1.40.0").upstream_tls, UpstreamTlsStrategy::SniScopedSessions);
    }

    #[test]
    fn a_choice_that_is_wrong_on_the_node_is_refused_for_what_is_right_everywhere() {
        let refused = |choice: UpstreamTlsChoice, version: Option<&str>, protocol| {
            let version = version.map(|version| version.parse().unwrap());
            let instead = choice.strategy(version, protocol).unwrap_err().instead;
            assert_eq!(Capabilities::new(version, protocol, choice).upstream_tls, instead);
            instead
        };
        for version in [None, Some("1.39.3")] {
            let instead = refused(UpstreamTlsChoice::SniScopedSessions, version, Protocol::Delta);
            assert_eq!(instead, UpstreamTlsStrategy::NoSessions);
        }
        let instead = refused(UpstreamTlsChoice::ContextPerHost, Some("1.39.3"), Protocol::StateOfTheWorld);
        assert_eq!(instead, UpstreamTlsStrategy::NoSessions);
    }

    #[test]
    fn what_is_right_everywhere_may_be_chosen_for_an_unknown_build() {
        for (choice, strategy) in [
            (UpstreamTlsChoice::NoSessions, UpstreamTlsStrategy::NoSessions),
            (UpstreamTlsChoice::ContextPerHost, UpstreamTlsStrategy::ContextPerHost),
        ] {
            assert_eq!(choice.strategy(None, Protocol::Delta), Ok(strategy));
        }
    }

    #[test]
    fn an_unknown_build_gets_what_is_right_everywhere() {
        let unknown = Capabilities::new(None, Protocol::Delta, UpstreamTlsChoice::Auto);
        assert_eq!(unknown.upstream_tls, UpstreamTlsStrategy::NoSessions);
        assert_eq!(unknown.leaf_delivery, LeafDelivery::InAdvance);
    }

    #[test]
    fn leaves_are_made_on_demand_from_1_37_over_delta_only() {
        assert_eq!(delta("1.36.4").leaf_delivery, LeafDelivery::InAdvance);
        assert_eq!(delta("1.37.0").leaf_delivery, LeafDelivery::OnDemand);
        let version = Some(EnvoyVersion::new(1, 40, 0));
        let sotw = Capabilities::new(version, Protocol::StateOfTheWorld, UpstreamTlsChoice::Auto);
        assert_eq!(sotw.leaf_delivery, LeafDelivery::InAdvance);
    }
}
