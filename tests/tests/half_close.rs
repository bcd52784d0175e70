//! A client that ends its side of a connection after its request: a limit of Envoy (`docs/running.md`).

use anyhow::Result;
use e2e::{EnvoyBinary, Front, Origin, ServerOptions, UpstreamHosts, Wire, answer_yes};

fn a_client_that_ends_its_side_before_its_answer_gets_none(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let origin = Origin::start(&hosts, Front::Plain, answer_yes)?;
    let gateway = Origin::gateway(envoy, &hosts, &[&origin])?;
    let (authority, url) = (origin.authority(), origin.url("/"));
    let request = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
    for is_tunnel in [false, true] {
        let mut wire = Wire::connect(gateway.address()?)?;
        if is_tunnel {
            wire.write(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))?;
            assert_eq!(wire.expect_head()?.start, "HTTP/1.1 200 OK");
            wire.write(request("/"))?;
        } else {
            wire.write(request(&url))?;
        }
        wire.end()?;
        assert_eq!(wire.read_to_end()?, b"", "an answer: the limit is gone, and the documents can say so");
    }
    // The end of the tunnel may arrive before the request that it carries.
    let decision = &gateway.decisions(1)?[0];
    assert_eq!((decision.effect.as_str(), decision.status), ("allow", 0), "{decision:#?}");
    Ok(())
}

on_oldest_and_newest_envoy!(a_client_that_ends_its_side_before_its_answer_gets_none);
