//! The bypass manual: the ways around an egress policy, why each does not work here or what does against it, and a test
//! of each.
//!
//! A policy is gone around where two parties read the same bytes differently: the client and the gateway, the gateway
//! and the upstream, the gateway and itself a few lines later. So every fact of a request is read once, into a type
//! whose text is canonical; what could be read in two ways is refused; and rules compare canonical forms only.
//!
//! | attack | module |
//! |---|---|
//! | `EXAMPLE.com`, `example.com.`, `example.com:443`, `example.com:` | [`host_spelling`] |
//! | `2130706433`, `0x7f.1`, `0177.0.0.1`, `[::ffff:127.0.0.1]` | [`address_literals`] |
//! | `allowed.example@attacker.example` | [`userinfo`] |
//! | `github.attacker.com`, `notexample.com`, `example.com.attacker.com` | [`substrings`] |
//! | `/allowed/../forbidden`, `..;/` | [`dot_segments`] |
//! | `%2e%2e%2f`, `%252f`, `%2561`, `%c0%af`, `%5c` | [`encodings`] |
//! | `//x/secret`, `/a//b`, `/%2fx`: what each server serves | [`readings`] |
//! | `/admin;x`, `..;`, `?` | [`path_parameters`] |
//! | `/Admin`; `/admin.`, `/admin%20`: a limit of deny rules | [`path_spelling`] |
//! | two `Host` headers, absolute-form against `Host` | [`two_hosts`] |
//! | `get`, `GeT`, override headers | [`method_case`] |
//! | a push that begins as a GET, `service=` twice | [`git_service`] |
//! | a server name for one host and a request for another | [`server_name`] |
//! | bytes that are not UTF-8, control characters | [`raw_bytes`] |
//! | names, paths and methods of a megabyte | [`long_input`] |
//! | a policy that is only tried out | [`modes`] |
//! | a connection that is not opened, and what goes on inside | [`passthrough`] |
//! | look-alike letters, `xn--` labels | [`homographs`] |

pub mod address_literals;
pub mod dot_segments;
pub mod encodings;
pub mod git_service;
pub mod homographs;
pub mod host_spelling;
pub mod long_input;
pub mod method_case;
pub mod modes;
pub mod passthrough;
pub mod path_parameters;
pub mod path_spelling;
pub mod raw_bytes;
pub mod readings;
pub mod server_name;
pub mod substrings;
pub mod two_hosts;
pub mod userinfo;

#[cfg(all(test, feature = "compile"))]
pub(crate) mod attack;
