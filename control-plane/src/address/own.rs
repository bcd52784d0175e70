//! The machine's own addresses. A request may connect to one of them, public or not, only if its rule's `addresses`
//! lists it.
//!
//! Services that listen on every address, and Weir's own listeners, accept connections to them. The own addresses are
//! those that the kernel delivers locally (its table `local`): the addresses of every interface, and networks that are
//! routed to the machine without an interface address. Weir cannot see addresses that another device, such as a cloud
//! or a router, translates to one of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use tokio::sync::watch;

use crate::address::public;

/// The kernel's routing table of local destinations (rtnetlink(7), `RT_TABLE_LOCAL`).
const LOCAL_TABLE: u8 = 255;
/// The interval for reading the table without a report. The kernel does not report routes, and may lose reports.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// The delay between a report and reading the table. A burst of reports then costs one read.
const SETTLE: Duration = Duration::from_millis(100);
/// The maximum wait for the kernel's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The machine's own networks that would be public otherwise, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses(Arc<[IpNet]>);

/// An error that keeps Weir from the machine's own addresses.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The netlink socket cannot be opened.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refuses the request.
    #[error("the kernel does not list its local routes: {0}")]
    Refused(#[from] rtnetlink::Error),
    /// The kernel does not answer in time.
    #[error("the kernel does not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
}

impl OwnAddresses {
    /// Keeps the public ones of these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let special: Vec<_> = public::not_public().collect();
        let unicast: Vec<_> = public::unicast().collect();
        let holds =
            |networks: &[IpNet], inner: &IpNet| networks.iter().any(|network| network.contains(inner));
        let public = |network: &IpNet| holds(&unicast, network) && !holds(&special, network);
        let networks: Vec<_> = networks.into_iter().map(|network| network.trunc()).filter(public).collect();
        let mut networks = IpNet::aggregate(&networks);
        networks.sort_unstable();
        Self(networks.into())
    }

    /// Iterates over the networks in order.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().copied()
    }

    /// Returns whether this is one of the machine's own public addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns whether the address is public and not the machine's own.
    pub fn is_public(&self, address: IpAddr) -> bool {
        public::is_public(address) && !self.contains(address)
    }

    /// Reads the addresses from the kernel.
    ///
    /// # Errors
    /// When the kernel does not list them.
    pub async fn read() -> Result<Self, Unreadable> {
        let (connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().or_else(|_| rtnetlink::new_connection())?;
        let serving = tokio::spawn(connection);
        let networks = tokio::time::timeout(ANSWER_WITHIN, local_networks(&handle)).await;
        serving.abort();
        Ok(Self::new(networks.map_err(|_elapsed| Unreadable::Silent)??))
    }

    /// Reads the addresses, and follows their changes: reports of the kernel take effect at once, other changes within
    /// seconds. If the kernel stops answering, the last addresses stay.
    pub async fn watch() -> watch::Receiver<Self> {
        let first = Self::read().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "names that resolve to a public address of this machine are not refused");
            Self::default()
        });
        let (sender, receiver) = watch::channel(first);
        tokio::spawn(async move {
            tokio::select! {
                () = follow(&sender) => {}
                () = sender.closed() => {}
            }
        });
        receiver
    }
}

async fn follow(sender: &watch::Sender<OwnAddresses>) {
    let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let mut reports = rtnetlink::new_multicast_connection(&groups).ok().map(|(connection, _, reports)| {
        tokio::spawn(connection);
        reports
    });
    loop {
        let report = async {
            match &mut reports {
                Some(reports) => reports.next().await,
                None => std::future::pending().await,
            }
        };
        let ended = matches!(tokio::time::timeout(ASK_EVERY, report).await, Ok(None));
        if ended {
            reports = None;
        }
        tokio::time::sleep(SETTLE).await;
        while reports.as_mut().is_some_and(|reports| reports.try_recv().is_ok()) {}
        match OwnAddresses::read().await {
            Ok(now) => drop(sender.send_if_modified(|addresses| {
                let changed = *addresses != now;
                if changed {
                    tracing::info!(addresses = ?now.0, "the machine's own public addresses have changed");
                }
                *addresses = now;
                changed
            })),
            Err(error) => tracing::debug!(%error, "the machine's own addresses cannot be read again"),
        }
    }
}

/// Returns the kernel's local networks of both families.
async fn local_networks(handle: &Handle) -> Result<Vec<IpNet>, rtnetlink::Error> {
    let mut networks = Vec::new();
    let local = u32::from(LOCAL_TABLE);
    let (protocol, scope, kind) = (RouteProtocol::Unspec, RouteScope::Universe, RouteType::Unspec);
    let v4 =
        RouteMessageBuilder::<Ipv4Addr>::new().table_id(local).protocol(protocol).scope(scope).kind(kind);
    let v6 =
        RouteMessageBuilder::<Ipv6Addr>::new().table_id(local).protocol(protocol).scope(scope).kind(kind);
    for question in [v4.build(), v6.build()] {
        let mut routes = handle.route().get(question).execute();
        while let Some(route) = routes.try_next().await? {
            networks.extend(local_network(&route));
        }
    }
    Ok(networks)
}

fn local_network(route: &RouteMessage) -> Option<IpNet> {
    let header = &route.header;
    // Other tables hold local routes for marked packets. Transparent proxies use such routes for all addresses.
    let local = header.table == LOCAL_TABLE && matches!(header.kind, RouteType::Local | RouteType::Anycast);
    let address = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Destination(RouteAddress::Inet(address)) = attribute {
            Some(IpAddr::V4(*address))
        } else if let RouteAttribute::Destination(RouteAddress::Inet6(address)) = attribute {
            Some(IpAddr::V6(*address))
        } else {
            None
        }
    })?;
    IpNet::new(address, header.destination_prefix_length).ok().filter(|_| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(networks: &[&str]) -> OwnAddresses {
        OwnAddresses::new(networks.iter().map(|network| network.parse().unwrap()))
    }

    #[test]
    fn own_addresses_are_not_public() {
        let own = own(&[
            "8.8.8.8/32",
            "2606:4700::1/128",
            "9.9.9.0/24",
            "127.0.0.0/8",
            "10.0.0.1/32",
            "fe80::1/128",
        ]);
        for address in ["8.8.8.8", "2606:4700::1", "9.9.9.200", "127.0.0.1", "10.0.0.1", "::ffff:8.8.8.8"] {
            assert!(!own.is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.4.4", "2606:4700::2", "9.9.8.1"] {
            assert!(own.is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn equal_addresses_in_any_order_are_equal_and_few() {
        let one = own(&["8.8.8.9/32", "2606:4700::1/128", "8.8.8.8/32", "192.168.0.1/32"]);
        assert_eq!(one, own(&["2606:4700::1/128", "8.8.8.8/31", "8.8.8.9/32"]));
        assert_eq!(one.iter().count(), 2);
        assert_eq!(own(&["127.0.0.0/8", "::1/128"]), OwnAddresses::default());
    }

    #[tokio::test]
    async fn the_kernel_tells_what_leads_to_the_machine() {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        let networks = local_networks(&handle).await.unwrap();
        assert!(networks.contains(&"127.0.0.0/8".parse().unwrap()), "{networks:?}");
        OwnAddresses::read().await.unwrap();
    }
}
