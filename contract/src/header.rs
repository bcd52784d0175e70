//! Headers that carry something between Envoy's configuration and the filter.

/// The beginning of every header of Weir's. The filter removes all of a client's.
pub const PREFIX: &str = "x-weir-";

/// Response header with the reason of an answer that Weir gave in a host's place. An upstream's is removed.
pub const DECISION: &str = "x-weir-decision";

/// Response header whose text npm prints: of the body of a failed answer npm shows no more than a word.
pub const NPM_NOTICE: &str = "npm-notice";

/// Request header with the [connection line](crate::connection). Envoy appends it behind all that the client sent, the
/// last one counts, and the route removes it.
pub const CONNECTION: &str = "x-weir-connection";

/// Request header in which the filter names the cluster of a rule's own upstream. The route follows and removes it.
pub const UPSTREAM: &str = "x-weir-upstream";

/// Header of the CONNECT that Envoy makes for a connection which is passed through: the connection's TLS server name.
pub const SERVER_NAME: &str = "x-weir-server-name";
