//! All limits of the engine in one place, from which the cost of a decision and the size of a policy follow.
//!
//! A decision parses at most [`AUTHORITY_BYTES`] and [`PATH_BYTES`]. It looks up the exact name in the host table
//! once, and each parent suffix at most once ([`HOST_LABELS`]). It evaluates each rule of the host once. A path that servers read in several ways has at most
//! [`READINGS`] readings, and each is compared with a rule's patterns.

/// Bytes of a host name without its trailing dot (RFC 1035, section 2.3.4, as text).
pub const HOST_BYTES: usize = 253;
/// Bytes of one label of a host name (RFC 1035, section 2.3.4).
pub const LABEL_BYTES: usize = 63;
/// Labels of a host name: 127 of one byte fill its 253 bytes.
pub const HOST_LABELS: usize = 127;
/// Bytes of an authority: a host, its trailing dot, a colon and five digits.
pub const AUTHORITY_BYTES: usize = HOST_BYTES + 7;
/// Bytes of a method.
pub const METHOD_BYTES: usize = 32;
/// Bytes of a path as sent, without its query.
pub const PATH_BYTES: usize = 16 * 1024;
/// Readings of one path, including intermediate ones. A path with more is ambiguous for every rule with `paths`.
pub const READINGS: usize = 64;
/// Readings of one path that a Rego policy evaluates. A path with more is given to it as an ambiguous path.
pub const REGO_READINGS: usize = 8;
/// Bytes of all readings of one path together.
pub const READING_BYTES: usize = 128 * 1024;
/// Bytes of a policy document.
pub const DOCUMENT_BYTES: usize = 128 * 1024 * 1024;
/// Nesting of a policy document.
pub const DOCUMENT_DEPTH: usize = 16;
/// Reported faults of one document. Further faults are only counted.
pub const FAULTS: usize = 200;
/// Bytes of a rule's id.
pub const RULE_ID_BYTES: usize = 128;
/// Rules of a policy, including those of data keys.
pub const RULES: usize = 16 * 1024;
/// Different methods in one policy.
pub const METHODS: usize = 64;
/// Names in the list of a GitHub or AWS key. Each becomes up to four paths of one rule.
pub const DATA_NAMES: usize = 1024;
/// Paths of one rule.
pub const RULE_PATHS: usize = 4 * 1024;
/// Different sets of rules for hosts.
pub const RULE_LISTS: usize = 65_535;
/// Different `addresses` lists.
pub const ADDRESS_SETS: usize = 1024;
/// Ranges in the `addresses` of a document, which each of its rules may share.
pub const DOCUMENT_ADDRESSES: usize = 1024;
/// Different `upstream`s. Each one in use is an Envoy cluster with its own trust roots.
pub const UPSTREAMS: usize = 256;
/// Names in the list of one `upstream`.
pub const UPSTREAM_NAMES: usize = 64;
/// Bytes of the path of a file that a document names.
pub const FILE_PATH_BYTES: usize = 4 * 1024;
/// Bytes of a compiled policy.
pub const POLICY_BYTES: usize = 512 * 1024 * 1024;
