//! A trap in the filter denies the request.

use anyhow::{Result, ensure};
use e2e::{ALPHA, Deadline, EnvoyBinary, ServerOptions, UpstreamHosts};

use crate::served_envoy::{Options, ServedEnvoy};
use crate::trapping_filter;

fn a_trap_never_lets_a_request_through(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let options = Options { filter: trapping_filter::module(), ..Options::new(&hosts)? };
    let served = ServedEnvoy::start(envoy, &hosts, options)?;
    let client = served.client().insecure();
    // Before the filter is in force, the answer is 403, and before there is a listener, there is none. A trap is 503.
    let mut traps = 0;
    Deadline::seconds(60).poll("twenty traps", || {
        for url in [hosts.plain_url(ALPHA, "/"), hosts.url(ALPHA, "/")] {
            let response = client.get(url)?;
            ensure!(matches!(response.status, 0 | 403 | 503), "{response:#?}");
            traps += usize::from(response.status == 503 || response.connect_status == 503);
        }
        Ok((traps >= 20).then_some(()))
    })?;
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

on_each_envoy!(a_trap_never_lets_a_request_through);
