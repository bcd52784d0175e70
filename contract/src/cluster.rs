//! The clusters of a rule's own upstream, which the filter names to the route.

/// The way to a rule's own upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamCluster {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// WebSockets over TLS: an HTTP/2 connection carries none through Envoy's automatic choice of protocol.
    HttpsUpgrade,
}

impl UpstreamCluster {
    /// Every way, each a cluster of its own.
    pub const ALL: [Self; 3] = [Self::Http, Self::Https, Self::HttpsUpgrade];

    /// Names the cluster. `upstream` is the hash of the upstream's content, so that rules with equal upstreams share one.
    pub fn name(self, upstream: u64) -> String {
        let kind = match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::HttpsUpgrade => "https_upgrade",
        };
        format!("weir_upstream_{upstream:016x}_{kind}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_each_upstream_has_a_name_of_its_own() {
        let names = [1, u64::MAX].into_iter().flat_map(|key| UpstreamCluster::ALL.map(|way| way.name(key)));
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names.len(), 6);
        assert!(names.contains("weir_upstream_0000000000000001_https_upgrade"));
    }
}
