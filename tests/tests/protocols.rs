//! HTTP/2 and HTTP/1.1, each on either side.

use anyhow::Result;
use e2e::{ALPHA, BETA, EnvoyBinary, Request, Run, ServerOptions, UpstreamHosts};

fn each_side_speaks_its_own_version(envoy: &EnvoyBinary) -> Result<()> {
    for (http2, upstream) in [(false, "HTTP/1.1"), (true, "HTTP/2.0")] {
        let hosts = UpstreamHosts::start(ServerOptions { http2, ..ServerOptions::default() })?;
        let gateway = Run::new(envoy, &hosts, &hosts.policy())?.start()?;
        for host in [ALPHA, BETA] {
            let request = Request::get(hosts.url(host, "/"));
            let responses = [gateway.client().send(&request)?, gateway.client().send(&request.http2())?];
            for (response, version) in responses.iter().zip(["1.1", "2"]) {
                assert_eq!(
                    (response.status, response.version.as_str()),
                    (200, version),
                    "{host}: {response:#?}"
                );
                assert_eq!(response.content, format!("{host} says hello\n"));
            }
        }
        let served = hosts.nginx.wait_served(4)?;
        assert!(served.iter().all(|request| request.protocol == upstream), "{served:#?}");
    }
    Ok(())
}

on_oldest_and_newest_envoy!(each_side_speaks_its_own_version);
