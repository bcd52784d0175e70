//! The nftables ruleset that makes Weir the only way out for programs of a network namespace.
//!
//! The ruleset binds the packets that the namespace sends. It relies on the kernel to know a socket's owner. So it
//! does not bind a program with `CAP_NET_ADMIN` there, which may change the ruleset, or with `CAP_NET_RAW`, which may
//! send packets that the ruleset never sees.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The ports of Envoy's admin interface, Weir's listeners and the control plane, as documented.
const OWN_PORTS: std::ops::RangeInclusive<u16> = 15000..=15020;
/// The explicit proxy's port. It stays open, because it enforces the same policy as the transparent listener.
const PROXY_PORT: u16 = 15001;

/// The exempt owners of traffic, and the target of redirected connections.
#[derive(Debug, Clone)]
pub(super) struct Ruleset {
    /// The user that runs Weir and its Envoy.
    pub uid: Option<u32>,
    /// The control group of Weir and its Envoy.
    pub cgroup: Option<Cgroup>,
    /// The transparent listener's port, on 127.0.0.1 and `::1`.
    pub port: u16,
    /// The TCP ports that are redirected to it.
    pub ports: BTreeSet<u16>,
    /// The name servers that programs may query.
    pub resolvers: Vec<Resolver>,
}

/// A version 2 control group, by its path below the root of the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup(String);

/// An error for a text that is not the path of a control group.
#[derive(Debug, thiserror::Error)]
#[error("not the path of a control group, such as `system.slice/weir.service`")]
pub(super) struct InvalidCgroup;

impl FromStr for Cgroup {
    type Err = InvalidCgroup;

    /// Parses the path with or without a leading slash, as `/proc/PID/cgroup` shows it.
    fn from_str(text: &str) -> Result<Self, InvalidCgroup> {
        let path = text.trim_matches('/');
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let whole = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if plain && whole { Ok(Self(path.to_owned())) } else { Err(InvalidCgroup) }
    }
}

/// The address of a name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolver(SocketAddr);

/// An error for a text that is neither an address nor an address and port.
#[derive(Debug, thiserror::Error)]
#[error("neither an IP address nor `ADDR:PORT`")]
pub(super) struct InvalidResolver;

impl FromStr for Resolver {
    type Err = InvalidResolver;

    fn from_str(text: &str) -> Result<Self, InvalidResolver> {
        let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        address.or_else(|_| text.parse()).map(Self).map_err(|_| InvalidResolver)
    }
}

impl Ruleset {
    /// The matches for Weir's own packets, one for each rule.
    fn own(&self) -> impl Iterator<Item = String> + use<'_> {
        let uid = self.uid.map(|uid| format!("meta skuid {uid}"));
        let cgroup = self
            .cgroup
            .as_ref()
            .map(|Cgroup(path)| format!("socket cgroupv2 level {} \"{path}\"", path.split('/').count()));
        uid.into_iter().chain(cgroup)
    }

    /// Weir's own ports on this machine, without the listeners that workloads may use.
    fn closed(&self) -> String {
        let closed = OWN_PORTS.filter(|port| ![PROXY_PORT, self.port].contains(port));
        list(closed)
    }
}

fn list(items: impl Iterator<Item = u16>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Resolver {
    /// Writes the resolver as an nftables match.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.0.is_ipv4() { "ip" } else { "ip6" };
        write!(f, "{family} daddr {} meta l4proto {{ tcp, udp }} th dport {}", self.0.ip(), self.0.port())
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accept = |matches: String| format!("\t\t{matches} accept\n");
        let own = self.own().map(accept).collect::<String>();
        let resolvers = self.resolvers.iter().map(Resolver::to_string).map(accept).collect::<String>();
        let ports = list(self.ports.iter().copied());
        let (port, closed) = (self.port, self.closed());
        write!(
            f,
            r#"#!/usr/sbin/nft -f
# Made by `weir redirect nft`. Load it inside of the workload's network namespace.
# The workload must have neither CAP_NET_ADMIN nor CAP_NET_RAW.
# To take it back: nft delete table inet weir

# Replaces what was loaded before, in one step.
table inet weir
delete table inet weir

table inet weir {{
	# Which connections go to Weir. Only the first packet of a connection comes here.
	chain to_weir {{
		type nat hook output priority -100; policy accept;
		# What stays in this namespace.
		oifname "lo" accept
		# What Weir itself sends.
{own}		# The beginning of a connection, not the middle of one that is older than these rules.
		tcp dport {{ {ports} }} tcp flags & (fin | syn | rst | ack) == syn redirect to :{port}
	}}

	# What may leave at all, IPv4 and IPv6 alike.
	chain out {{
		type filter hook output priority filter; policy drop;
		ct state established accept
		# Errors about such a connection, and nothing else that a helper of the kernel expects.
		ct state related meta l4proto {{ icmp, ipv6-icmp }} accept
		# Connections that are older than these rules. No new one can begin so without CAP_NET_RAW.
		tcp flags & (fin | syn | rst | ack) == ack accept
		# What Weir itself sends.
{own}		# The name servers that may be asked.
{resolvers}		# What was redirected. Here it still has the interface of before.
		ip daddr 127.0.0.1 tcp dport {port} accept
		ip6 daddr ::1 tcp dport {port} accept
		oifname "lo" goto inside
		# An IPv6 network does not work without its neighbours.
		icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report }} accept
		# QUIC would go around Weir; clients that are told so at once fall back to TCP.
		udp dport 443 reject with icmpx port-unreachable
	}}

	# What stays in this namespace.
	chain inside {{
		# Weir's own doors, on every address of this machine.
		tcp dport {{ {closed} }} reject with tcp reset
		# Name servers that were not named.
		meta l4proto {{ tcp, udp }} th dport 53 drop
		accept
	}}

	# A socket that is bound to an interface would take what was redirected out by it.
	chain leaving {{
		type filter hook postrouting priority filter; policy accept;
		oifname != "lo" ip daddr 127.0.0.0/8 drop
		oifname != "lo" ip6 daddr ::1 drop
	}}

	# Nothing is sent on for others: a namespace within this one has no way out.
	chain forward {{
		type filter hook forward priority filter; policy drop;
	}}
}}
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ruleset_of_a_pod() {
        let ruleset = Ruleset {
            uid: Some(1337),
            cgroup: Some("/system.slice/weir.service".parse().unwrap()),
            port: 15002,
            ports: [80, 443].into(),
            resolvers: ["10.96.0.10", "[fd00::53]:5353"].map(|text| text.parse().unwrap()).into(),
        };
        insta::assert_snapshot!(ruleset);
    }

    #[test]
    fn a_control_group_cannot_end_its_quotes() {
        for text in ["", "/", "a//b", "a/../b", "a\" accept", "a b", "a\nb"] {
            assert!(text.parse::<Cgroup>().is_err(), "{text:?}");
        }
        assert_eq!("/a/b".parse::<Cgroup>().unwrap(), "a/b".parse().unwrap());
    }

    #[test]
    fn a_resolver_is_an_address_with_or_without_a_port() {
        let resolver = |text: &str| text.parse::<Resolver>().map(|resolver| resolver.0.to_string()).ok();
        assert_eq!(resolver("10.0.0.1").as_deref(), Some("10.0.0.1:53"));
        assert_eq!(resolver("::1").as_deref(), Some("[::1]:53"));
        assert_eq!(resolver("127.0.0.1:5353").as_deref(), Some("127.0.0.1:5353"));
        assert_eq!(resolver("localhost"), None);
    }
}
