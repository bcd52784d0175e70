//! Public addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length))
}

const fn v6(a: u16, b: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length))
}

/// The space of public addresses (IANA: all of IPv4; IPv6 global unicast). All other space is not public: it contains
/// unspecified, loopback, IPv4-mapped, NAT64, unique local, link-local and multicast IPv6.
const UNICAST: [IpNet; 2] = [v4(0, 0, 0, 0), v6(0x2000, 0, 3)];

/// `168.63.129.16`: every Azure machine reaches its host at this address, and the host serves the machine's secrets.
const AZURE_HOST: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32));

/// The non-public networks of the unicast space (IANA special-purpose registries, RFC 6890 and its updates).
const NOT_PUBLIC: [IpNet; 19] = [
    v4(0, 0, 0, 8),      // this network
    v4(10, 0, 0, 8),     // private
    v4(100, 64, 0, 10),  // carrier-grade NAT, and some clouds' metadata services
    v4(127, 0, 0, 8),    // loopback
    v4(169, 254, 0, 16), // link-local, the metadata services
    AZURE_HOST,
    v4(172, 16, 0, 12),    // private
    v4(192, 0, 0, 24),     // protocol assignments
    v4(192, 0, 2, 24),     // documentation
    v4(192, 88, 99, 24),   // 6to4 relays
    v4(192, 168, 0, 16),   // private
    v4(198, 18, 0, 15),    // benchmarks
    v4(198, 51, 100, 24),  // documentation
    v4(203, 0, 113, 24),   // documentation
    v4(224, 0, 0, 3),      // multicast, reserved, broadcast
    v6(0x2001, 0, 23),     // protocol assignments; Teredo embeds IPv4 addresses
    v6(0x2001, 0xdb8, 32), // documentation
    v6(0x2002, 0, 16),     // 6to4 embeds IPv4 addresses
    v6(0x3fff, 0, 20),     // documentation
];

/// Returns the networks of which public addresses are a part.
pub(crate) fn unicast() -> impl Iterator<Item = IpNet> {
    UNICAST.into_iter()
}

/// Returns the non-public networks within [`unicast`].
pub(crate) fn not_public() -> impl Iterator<Item = IpNet> {
    NOT_PUBLIC.into_iter()
}

/// Returns whether the address is public. An own address of the machine may be public.
pub(crate) fn is_public(address: IpAddr) -> bool {
    let holds = |network: &IpNet| network.contains(&address);
    UNICAST.iter().any(holds) && !NOT_PUBLIC.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_inward_are_not_public() {
        let inward = [
            "0.0.0.0",
            "10.1.2.3",
            "100.100.100.200",
            "127.0.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "172.31.0.1",
            "192.168.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2002:7f00:1::",
            "2001::1",
        ];
        for address in inward {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
