//! Names that share an address. Each is logged once: before Envoy 1.40 their TLS sessions could be mixed up.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use weir_policy::Host;

/// The maximum number of remembered addresses and of names. Names beyond it are not logged.
const MOST: usize = 1024;

/// The addresses of the names that have been resolved so far.
#[derive(Debug, Default)]
pub(super) struct SharedAddresses {
    first_at: HashMap<IpAddr, Host>,
    told: HashSet<Host>,
}

impl SharedAddresses {
    /// Records a name's addresses. If an earlier name has one of them too, it returns that address and that name, once
    /// for each name.
    pub(super) fn found(&mut self, host: &Host, addresses: &[IpAddr]) -> Option<(IpAddr, Host)> {
        if self.told.contains(host) || self.told.len() >= MOST {
            return None;
        }
        for address in addresses {
            match self.first_at.get(address) {
                Some(first) if first != host => {
                    self.told.insert(*host);
                    return Some((*address, *first));
                }
                Some(_) => {}
                None if self.first_at.len() < MOST => drop(self.first_at.insert(*address, *host)),
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(shared: &mut SharedAddresses, host: &str, addresses: &[&str]) -> Option<(String, String)> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let (address, first) = shared.found(&host.parse().unwrap(), &addresses)?;
        Some((address.to_string(), first.to_string()))
    }

    #[test]
    fn a_name_that_shares_an_address_is_told_once() {
        let mut shared = SharedAddresses::default();
        let told = Some(("192.0.2.1".to_owned(), "a.example".to_owned()));
        assert_eq!(found(&mut shared, "a.example", &["192.0.2.1"]), None);
        assert_eq!(found(&mut shared, "a.example", &["192.0.2.1"]), None);
        assert_eq!(found(&mut shared, "b.example", &["192.0.2.2", "192.0.2.1"]), told);
        assert_eq!(found(&mut shared, "b.example", &["192.0.2.1"]), None);
        assert_eq!(found(&mut shared, "c.example", &["192.0.2.1"]), told);
        assert_eq!(found(&mut shared, "d.example", &["2001:db8::1"]), None);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut shared = SharedAddresses::default();
        for number in 0..2 * MOST {
            let address = std::net::Ipv4Addr::from_bits(number.try_into().unwrap()).to_string();
            for host in ["a", "b"] {
                found(&mut shared, &format!("{host}{number}.example"), &[&address]);
            }
        }
        assert_eq!((shared.first_at.len(), shared.told.len()), (MOST, MOST));
    }
}
