//! Addresses as a person types them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port of DNS (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;

/// Where a proxy listens: `127.0.0.1:15001`, `[::1]:15001`. `15001`, `:15001` and `localhost:15001` are on the loopback
/// interface, so that a network can connect only where an address says so.
pub(super) fn listening(text: &str) -> Result<SocketAddr, String> {
    let on_loopback = [text.strip_prefix("localhost:"), text.strip_prefix(':'), Some(text)];
    let port = on_loopback.into_iter().flatten().find_map(|port| port.parse().ok());
    let address = match (text.parse(), port) {
        (Ok(address), _) => address,
        (Err(_), Some(port)) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        (Err(_), None) => return Err(what_to_write(text)),
    };
    let ip = address.ip().to_canonical();
    if ip.is_multicast() {
        return Err("it is a multicast address, which nothing can listen on".to_owned());
    }
    if ip == Ipv4Addr::BROADCAST {
        return Err("it is the broadcast address, which nothing can listen on".to_owned());
    }
    Ok(address)
}

fn what_to_write(text: &str) -> String {
    if let Some(port) = text.strip_prefix("*:") {
        return format!(
            "write `0.0.0.0:{port}` for every IPv4 address, or `[::]:{port}` for every IPv6 address"
        );
    }
    match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => format!("write the port as well, as in `{}`", SocketAddr::new(ip, 15001)),
        Err(_) => "write an IP address and a port, as in `127.0.0.1:15001`, or a port alone".to_owned(),
    }
}

/// A name server: `8.8.8.8`, `8.8.8.8:53`, `::1`, `[::1]:53`.
pub(super) fn name_server(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost").map_or(text.to_owned(), |rest| format!("127.0.0.1{rest}"));
    let alone = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
    let address = text.parse().or_else(|_| alone());
    let address = address
        .map_err(|_| "write the IP address of a name server, as in `8.8.8.8` or `[::1]:53`".to_owned())?;
    let ip = address.ip().to_canonical();
    if ip.is_multicast() || ip.is_unspecified() || address.port() == 0 {
        return Err("no name server has such an address".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_may_be_a_port_alone() {
        for (text, expected) in [
            ("15001", "127.0.0.1:15001"),
            (":15001", "127.0.0.1:15001"),
            ("localhost:15001", "127.0.0.1:15001"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:15001", "0.0.0.0:15001"),
            ("[::1]:15001", "[::1]:15001"),
        ] {
            assert_eq!(listening(text).map(|address| address.to_string()).as_deref(), Ok(expected), "{text}");
        }
        for (text, help) in [
            ("127.0.0.1", "`127.0.0.1:15001`"),
            ("[::1]", "`[::1]:15001`"),
            ("*:80", "`0.0.0.0:80`"),
            ("224.0.0.1:0", "multicast"),
            ("[ff02::1]:0", "multicast"),
            ("[::ffff:224.0.0.1]:0", "multicast"),
            ("255.255.255.255:0", "broadcast"),
            ("weir.example:80", "an IP address and a port"),
            ("70000", "an IP address and a port"),
            ("", "an IP address and a port"),
        ] {
            let said = listening(text).unwrap_err();
            assert!(said.contains(help), "{text}: {said}");
        }
    }

    #[test]
    fn a_name_server_needs_no_port() {
        for (text, expected) in [
            ("8.8.8.8", "8.8.8.8:53"),
            ("8.8.8.8:5353", "8.8.8.8:5353"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
            ("localhost:5353", "127.0.0.1:5353"),
        ] {
            assert_eq!(
                name_server(text).map(|address| address.to_string()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        for text in ["dns.example", "8.8.8.8:0", "0.0.0.0", "224.0.0.251:5353", ""] {
            name_server(text).unwrap_err();
        }
    }
}
