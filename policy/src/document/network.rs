//! Ports and address ranges of a document.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fields::{mismatch, text};
use super::node::{Node, Value};
use crate::fault::{At, Collector};

/// Reads a port: a plain decimal number from 1 to 65535.
pub(super) fn port(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<u16> {
    let Value::Scalar { text, plain } = &node.value else {
        mismatch(node, at, "a port number", faults);
        return None;
    };
    let number = text.parse().ok().filter(|port| *port != 0);
    let canonical = number.is_some_and(|port: u16| port.to_string() == *text);
    if !canonical {
        let help = "write a number from 1 to 65535, in decimal".to_owned();
        faults.report(node.span.clone(), at, format!("`{text}` is not a port"), Some(help));
        return None;
    }
    if !plain {
        let help = format!("write {text} without quotes");
        faults.report(node.span.clone(), at, "this must be a number, and it is text", Some(help));
        return None;
    }
    number
}

/// Reads a range in CIDR notation with zero host bits, or a single address.
pub(super) fn net(node: &Node<'_>, at: &At<'_>, faults: &mut Collector) -> Option<IpNet> {
    let written = text(node, at, faults)?;
    match read_net(&written.value) {
        Ok(net) => Some(net),
        Err((message, help)) => {
            faults.report(written.span, at, message, help);
            None
        }
    }
}

fn read_net(written: &str) -> Result<IpNet, (String, Option<String>)> {
    let net = match (written.parse::<IpAddr>(), written.parse::<IpNet>()) {
        (Ok(address), _) => IpNet::from(address),
        (Err(_), Ok(net)) => net,
        (Err(_), Err(_)) => {
            let help = "write a range as `10.0.0.0/8` or `fd00::/8`, or one address".to_owned();
            return Err((format!("`{written}` is not an address range"), Some(help)));
        }
    };
    if let IpNet::V6(v6) = net
        && v6.addr().to_ipv4_mapped().is_some()
    {
        let help = "write it in the form of IPv4".to_owned();
        return Err((format!("`{written}` is an IPv4 range in the form of IPv6"), Some(help)));
    }
    let canonical = net.trunc();
    let text = match written.contains('/') {
        true => canonical.to_string(),
        false => canonical.addr().to_string(),
    };
    if text != written {
        let message = format!("`{written}` is not in canonical form, which is `{text}`");
        return Err((message, Some(format!("write `{text}`"))));
    }
    Ok(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_addresses_are_read() {
        for (written, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(read_net(written).map(|net| net.to_string()), Ok(net.to_owned()));
        }
    }

    #[test]
    fn other_spellings_name_the_canonical_one() {
        for (written, canonical) in
            [("10.1.2.3/8", "`10.0.0.0/8`"), ("FD00::/8", "`fd00::/8`"), ("0:0::1", "`::1`")]
        {
            let Err((message, _)) = read_net(written) else { panic!("{written}") };
            assert!(message.contains(canonical), "{message}");
        }
        for written in
            ["10.0.0.0/33", "10.0.0/8", "::ffff:10.0.0.1", "example.com", "010.0.0.1", "10.0.0.0/08"]
        {
            assert!(read_net(written).is_err(), "{written}");
        }
    }
}
