//! A probe of one host. Like Envoy, it resolves the host, judges its addresses, connects, and verifies its certificate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use weir_policy::{Host, Policy};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::finding::Finding;
use super::target::ProbeTarget;
use super::tls::{Handshake, Roots};
use crate::address::own::OwnAddresses;
use crate::dns::admitted::Admitted;
use crate::dns::name_servers::NameServers;

/// The time limit for connecting to one address: the same as Envoy's.
const CONNECT: Duration = Duration::from_secs(10);
/// The time limit for one handshake.
const SHAKE: Duration = Duration::from_secs(10);
/// The divisor for the part of a certificate's life that should be left.
const A_TENTH: u64 = 10;

/// Connects to hosts as Envoy would: by the policy, through these name servers, with these roots.
pub(super) struct Prober {
    pub(super) policy: Arc<Policy>,
    pub(super) servers: NameServers,
    pub(super) own_addresses: OwnAddresses,
    pub(super) roots: Roots,
}

/// The result of a probe.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) target: ProbeTarget,
    /// The addresses to which Envoy may connect.
    pub(super) addresses: Vec<IpAddr>,
    /// The addresses that Envoy does not get.
    refused: Vec<IpAddr>,
    /// Whether one of the refused addresses is a public address of this machine.
    leads_here: bool,
    pub(super) outcome: ProbeOutcome,
}

/// The step at which a probe ended.
#[derive(Debug)]
pub(super) enum ProbeOutcome {
    /// The name could not be resolved.
    Unresolved(String),
    /// No address answered.
    Unreachable(String),
    /// The host accepted the connection, and needs no handshake.
    Connected,
    /// The host accepted the connection and a handshake.
    Shaken(Handshake),
}

impl Probe {
    /// Makes the result for a host without an address.
    fn unresolved(target: ProbeTarget, error: String) -> Self {
        let outcome = ProbeOutcome::Unresolved(error);
        Self { target, addresses: Vec::new(), refused: Vec::new(), leads_here: false, outcome }
    }
}

impl Prober {
    pub(super) async fn ask(&self, target: ProbeTarget) -> Probe {
        let found = match (target.address(), Host::parse_upstream(target.host.as_bytes())) {
            (Some(address), _) => Ok(vec![address]),
            (None, Ok(host)) => self.servers.addresses(&host).await.map(|found| found.0),
            (None, Err(error)) => return Probe::unresolved(target, error.to_string()),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return Probe::unresolved(target, error.to_string()),
        };
        let host = Host::parse_upstream(target.host.as_bytes()).ok();
        let admitted = host.and_then(|host| Admitted::new(&self.policy, &host));
        let given = admitted.map(|admitted| admitted.filter(&found, &self.own_addresses)).unwrap_or_default();
        let (addresses, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| given.contains(address));
        let outcome = self.connect(&target, &addresses).await;
        let leads_here = refused.iter().any(|address| self.own_addresses.contains(*address));
        Probe { target, addresses, refused, leads_here, outcome }
    }

    /// Tries one address after the other, as Envoy does.
    async fn connect(&self, target: &ProbeTarget, addresses: &[IpAddr]) -> ProbeOutcome {
        let mut failure = "it has no address that may be reached".to_owned();
        for address in addresses {
            let address = SocketAddr::new(*address, target.port);
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.shake(target, stream).await,
                Ok(Err(error)) => failure = format!("{address}: {error}"),
                Err(_elapsed) => failure = format!("{address}: no answer within {} s", CONNECT.as_secs()),
            }
        }
        ProbeOutcome::Unreachable(failure)
    }

    async fn shake(&self, target: &ProbeTarget, stream: TcpStream) -> ProbeOutcome {
        let Some(verified) = &target.tls else { return ProbeOutcome::Connected };
        match tokio::time::timeout(SHAKE, self.roots.shake(stream, verified)).await {
            Ok(handshake) => ProbeOutcome::Shaken(handshake),
            Err(_elapsed) => ProbeOutcome::Unreachable(format!("no handshake within {} s", SHAKE.as_secs())),
        }
    }
}

impl Probe {
    /// Returns the findings about the host.
    pub(super) fn findings(&self, now: SystemTime) -> Vec<Finding> {
        let about = self.target.name.as_str();
        let listed =
            |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if self.addresses.is_empty() && !self.refused.is_empty() {
            let inward = if self.leads_here { "to this machine itself" } else { "to a non-public address" };
            let what = format!("`{}` resolves {inward}: {}", self.target.host, listed(&self.refused));
            let help = "requests get `address_not_allowed`; if the rule should allow it, list the range in `addresses` of the rule";
            return vec![Finding::problem(about, what, help)];
        }
        let mut findings = vec![match &self.outcome {
            ProbeOutcome::Unresolved(why) => Finding::problem(
                about,
                format!("`{}`: {why}", self.target.host),
                "check the name and `--dns`",
            ),
            ProbeOutcome::Unreachable(why) => Finding::problem(
                about,
                format!("no connection: {why}"),
                "check the port, the network's firewall, and the host",
            ),
            ProbeOutcome::Connected => Finding::ok(about, "it takes connections"),
            ProbeOutcome::Shaken(Handshake { fault: Some(fault), .. }) => Finding::problem(
                about,
                fault,
                "requests get `certificate_not_verified`; to trust a CA of your own, use `--upstream-ca`",
            ),
            ProbeOutcome::Shaken(Handshake { certificate, fault: None }) => {
                certificate.as_deref().and_then(|der| ending(about, der, now)).unwrap_or_else(|| {
                    Finding::ok(about, format!("its certificate is verified, at {}", listed(&self.addresses)))
                })
            }
        }];
        if !self.refused.is_empty() {
            let what = format!("Weir withholds some of its addresses from Envoy: {}", listed(&self.refused));
            let help =
                "if the rules should allow them, list their range in `addresses` of every rule for the host";
            findings.push(Finding::warning(about, what, help));
        }
        findings
    }

    /// Returns the certificate that the host presented.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        match &self.outcome {
            ProbeOutcome::Shaken(handshake) => handshake.certificate.as_deref(),
            ProbeOutcome::Unresolved(_) | ProbeOutcome::Unreachable(_) | ProbeOutcome::Connected => None,
        }
    }
}

/// Returns a warning if little of the certificate's life is left. Certificates live from days to years.
fn ending(about: &str, der: &[u8], now: SystemTime) -> Option<Finding> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let now = i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let left = u64::try_from(validity.not_after.timestamp().checked_sub(now)?).ok()?;
    let life =
        u64::try_from(validity.not_after.timestamp().checked_sub(validity.not_before.timestamp())?).ok()?;
    (left < life / A_TENTH).then(|| {
        let hours = left / 3600;
        let what = format!("its certificate ends in {} days and {} hours", hours / 24, hours % 24);
        Finding::warning(about, what, "tell its owner to renew it")
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::command::doctor::finding::Severity;

    #[test]
    fn a_certificate_in_the_last_tenth_of_its_life_is_a_warning() {
        const DAY: u64 = 24 * 3600;
        let start = 1_700_000_000;
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = time::OffsetDateTime::from_unix_timestamp(start).unwrap();
        params.not_after = params.not_before + time::Duration::days(100);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let at = |days: u64| {
            let now = Duration::from_secs(start.unsigned_abs() + days * DAY);
            ending("a.example:443", certificate.der(), SystemTime::UNIX_EPOCH + now)
        };
        assert_eq!(at(89).map(|finding| finding.what), None);
        let finding = at(91).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.what, "its certificate ends in 9 days and 0 hours");
    }
}
