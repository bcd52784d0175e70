//! What a connected Envoy can do, and so which form of each resource it is served.

use crate::envoy_version::EnvoyVersion;

/// How the upstream TLS contexts keep hosts that share an IP address apart.
///
/// Before 1.40 an Envoy TLS context keeps one list of client sessions for all hosts, offers the newest to every
/// new connection, and verifies the certificate of a resumed session against the new name: the second host on
/// an address fails with CERTIFICATE_VERIFY_FAILED, in either order (measured on 1.36.2 to 1.39.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamTlsStrategy {
    /// One context that resumes; Envoy itself scopes sessions by SNI (1.40.0 and later).
    SniScopedSessions,
    /// A cluster, and so a context, for each host in use: sessions of one host never meet another. Up to a cap
    /// ([`HostContexts`](crate::nodes::host_contexts::HostContexts)); the other hosts share a context without sessions.
    ContextPerHost,
    /// One context that keeps no session: always right, every handshake a full one.
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

    /// What becomes of hosts that share an address.
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

/// Which strategy the nodes of a gateway are to have.
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
    /// Whatever the Envoy, so that a test can show what a wrong one does.
    #[value(skip)]
    Unchecked(UpstreamTlsStrategy),
}

/// A strategy that was chosen for a node on which it is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is refused: {because}; `{}` is used instead", asked.as_str(), instead.as_str())]
pub struct RefusedStrategy {
    /// What was chosen.
    pub asked: UpstreamTlsStrategy,
    /// What the node gets.
    pub instead: UpstreamTlsStrategy,
    /// Why it is wrong there.
    pub because: &'static str,
}

impl UpstreamTlsChoice {
    /// The strategy for a node; an unknown build gets the one that is right everywhere.
    ///
    /// # Errors
    /// The choice is wrong on this node.
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
            // It sends every cluster again for each change, and a reconnecting node does not say which it holds.
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
    pub fn of(version: Option<EnvoyVersion>, protocol: Protocol, choice: UpstreamTlsChoice) -> Self {
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
        Capabilities::of(Some(version.parse().unwrap()), Protocol::Delta, UpstreamTlsChoice::Auto)
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
            assert_eq!(Capabilities::of(version, protocol, choice).upstream_tls, instead);
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
        let unknown = Capabilities::of(None, Protocol::Delta, UpstreamTlsChoice::Auto);
        assert_eq!(unknown.upstream_tls, UpstreamTlsStrategy::NoSessions);
        assert_eq!(unknown.leaf_delivery, LeafDelivery::InAdvance);
    }

    #[test]
    fn leaves_are_made_on_demand_from_1_37_over_delta_only() {
        assert_eq!(delta("1.36.4").leaf_delivery, LeafDelivery::InAdvance);
        assert_eq!(delta("1.37.0").leaf_delivery, LeafDelivery::OnDemand);
        let version = Some(EnvoyVersion::new(1, 40, 0));
        let sotw = Capabilities::of(version, Protocol::StateOfTheWorld, UpstreamTlsChoice::Auto);
        assert_eq!(sotw.leaf_delivery, LeafDelivery::InAdvance);
    }
}
