//! The control plane's choice of strategy, and an Envoy without its control plane.

use anyhow::Result;
use e2e::{ALPHA, BETA, Deadline, EnvoyBinary, ServerOptions, TlsVersions, UNLISTED, UpstreamHosts};
use weir::envoy::capabilities::{Protocol, UpstreamTlsChoice, UpstreamTlsStrategy};

use crate::served_envoy::{Options, ServedEnvoy};

/// Returns the statuses of both hosts, requested in this order, each over a new upstream connection.
fn ask(
    envoy: &EnvoyBinary,
    tls: TlsVersions,
    served: impl FnOnce(Options) -> Options,
    order: [&str; 2],
) -> Result<Vec<(u16, Option<String>)>> {
    let hosts = UpstreamHosts::start(ServerOptions {
        tls,
        connection_per_request: true,
        ..ServerOptions::default()
    })?;
    let mut served = ServedEnvoy::start(envoy, &hosts, served(Options::new(&hosts)?))?;
    served.wait_until_ready()?;
    order
        .into_iter()
        .map(|host| {
            let response = served.client().get(hosts.url(host, "/"))?;
            Ok((response.status, response.header("x-weir-decision").map(str::to_owned)))
        })
        .collect()
}

/// The negative control of the main job: Weir's own resources with a wrong strategy.
#[test]
fn before_1_40_weirs_own_cluster_with_sessions_fails_for_the_second_host() -> Result<()> {
    for version in ["1.36.4", "1.38.2", "1.39.3"] {
        for tls in [TlsVersions::Only12, TlsVersions::Only13] {
            for order in [[ALPHA, BETA], [BETA, ALPHA]] {
                let upstream_tls = UpstreamTlsChoice::Unchecked(UpstreamTlsStrategy::SniScopedSessions);
                let envoy = EnvoyBinary::version(version)?;
                let answers = ask(&envoy, tls, |options| Options { upstream_tls, ..options }, order)?;
                let refused = (503, Some("certificate_not_verified".to_owned()));
                assert_eq!(answers, [(200, None), refused], "Envoy {version}, {tls:?}, {order:?}");
            }
        }
    }
    Ok(())
}

fn state_of_the_world_serves_both_hosts_too(envoy: &EnvoyBinary) -> Result<()> {
    let protocol = Protocol::StateOfTheWorld;
    let served = |options| Options { protocol, ..options };
    let answers = ask(envoy, TlsVersions::Both, served, [ALPHA, BETA])?;
    assert_eq!(answers, [(200, None), (200, None)]);
    Ok(())
}

fn known_hosts_go_on_without_the_control_plane(envoy: &EnvoyBinary) -> Result<()> {
    let hosts =
        UpstreamHosts::start(ServerOptions { connection_per_request: true, ..ServerOptions::default() })?;
    let mut served = ServedEnvoy::start(envoy, &hosts, Options::new(&hosts)?)?;
    served.wait_until_ready()?;
    let client = served.client();
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 200);

    served.kill_control_plane()?;
    for _ in 0..10 {
        assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 200);
        let denied = client.send(&e2e::Request::get(hosts.url(ALPHA, "/")).method("POST"))?;
        assert_eq!((denied.status, denied.header("x-weir-decision")), (403, Some("method_not_allowed")));
    }
    // The policy is still in force, for every name.
    assert_ne!(client.get(hosts.url(UNLISTED, "/"))?.status, 200);

    served.restart_control_plane()?;
    Deadline::seconds(30).poll_eq("beta's status with a new control plane", &200, || {
        Ok(client.get(hosts.url(BETA, "/"))?.status)
    })
}

on_oldest_and_newest_envoy!(
    state_of_the_world_serves_both_hosts_too,
    known_hosts_go_on_without_the_control_plane
);
