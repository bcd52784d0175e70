//! The fault that Weir corrects, on an Envoy without Weir. If these tests fail, the others prove nothing.

use anyhow::Result;
use e2e::{ALPHA, BETA, EnvoyBinary, Forwarded, ServerOptions, StaticEnvoy, TlsVersions, UpstreamHosts};

const NAIVE: [&str; 3] = ["1.36.4", "1.38.2", "1.39.3"];

/// Requests the hosts in this order, each twice, over a new connection each time.
fn ask(version: &str, tls: TlsVersions, order: [&str; 2]) -> Result<Vec<Forwarded>> {
    let hosts = UpstreamHosts::start(ServerOptions {
        tls,
        connection_per_request: true,
        ..ServerOptions::default()
    })?;
    let envoy = StaticEnvoy::start(&EnvoyBinary::version(version)?, &hosts)?;
    let order = [order, order].concat();
    let mut statuses = Vec::new();
    for host in &order {
        statuses.push(envoy.get(host, hosts.port())?.status);
    }
    let forwarded = envoy.wait_forwarded(order.len())?;
    assert_eq!(forwarded.iter().map(|request| request.status).collect::<Vec<_>>(), statuses);
    Ok(forwarded)
}

fn assert_second_host_fails(tls: TlsVersions) -> Result<()> {
    for version in NAIVE {
        for order in [[ALPHA, BETA], [BETA, ALPHA]] {
            let forwarded = ask(version, tls, order)?;
            assert_eq!(forwarded[0].status, 200, "Envoy {version}, {order:?}: {forwarded:#?}");
            assert_eq!(forwarded[1].status, 503, "Envoy {version}, {order:?}: {forwarded:#?}");
            let failure = forwarded[1].failure.as_deref().unwrap_or_default();
            assert!(failure.contains("CERTIFICATE_VERIFY_FAILED"), "Envoy {version}, {order:?}: {failure}");
        }
    }
    Ok(())
}

#[test]
fn before_1_40_the_naive_cluster_fails_for_the_second_host_in_either_order_on_tls_1_2() -> Result<()> {
    assert_second_host_fails(TlsVersions::Only12)
}

#[test]
fn before_1_40_the_naive_cluster_fails_for_the_second_host_in_either_order_on_tls_1_3() -> Result<()> {
    assert_second_host_fails(TlsVersions::Only13)
}

#[test]
fn since_1_40_the_naive_cluster_serves_both_hosts_in_either_order() -> Result<()> {
    for tls in [TlsVersions::Only12, TlsVersions::Only13] {
        for order in [[ALPHA, BETA], [BETA, ALPHA]] {
            let forwarded = ask("1.40.0", tls, order)?;
            assert!(
                forwarded.iter().all(|request| request.status == 200),
                "{tls:?}, {order:?}: {forwarded:#?}"
            );
        }
    }
    Ok(())
}
