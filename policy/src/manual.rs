//! The bypass manual: ways around an egress policy, the reason why each fails here or the defence against it, and a
//! test of each.
//!
//! A client bypasses a policy where two parties read one text differently: the client and the gateway, the gateway
//! and the upstream, or two places in the gateway. So Weir reads every fact of a request once, into a type whose text
//! is canonical. It denies a text with two readings, and its rules compare only canonical forms.
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
//! | a passed-through connection, and the requests inside | [`passthrough`] |
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
