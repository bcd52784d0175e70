//! The name that Envoy sends and verifies, on each version. The filter state of a request wins over the name that the
//! cluster takes from the authority, and this wins over the cluster's configured name.

use anyhow::Result;
use e2e::{
    ALPHA, BETA, EnvoyBinary, IMPOSTOR, Request, STATIC_SNI, ServerOptions, StaticEnvoy, UpstreamHosts,
};

/// A request to a host, with or without a server name and names to verify in its filter state.
struct Asked {
    host: &'static str,
    named: Option<[&'static str; 2]>,
    /// The server name that the upstream saw; none if Envoy rejected its certificate.
    seen: Option<&'static str>,
}

const ASKED: [Asked; 10] = [
    // The cluster uses the authority, which the certificate must contain.
    Asked { host: ALPHA, named: None, seen: Some(ALPHA) },
    Asked { host: IMPOSTOR, named: None, seen: None },
    // The filter state wins over the authority, both for the SNI and for the names to verify.
    Asked { host: ALPHA, named: Some([BETA, BETA]), seen: Some(BETA) },
    Asked { host: ALPHA, named: Some([ALPHA, BETA]), seen: None },
    Asked { host: ALPHA, named: Some([BETA, ALPHA]), seen: None },
    Asked { host: IMPOSTOR, named: Some([IMPOSTOR, "none.weir.test,beta.weir.test"]), seen: Some(IMPOSTOR) },
    // With a server name alone, Envoy still verifies the authority.
    Asked { host: ALPHA, named: Some([ALPHA, ""]), seen: Some(ALPHA) },
    Asked { host: ALPHA, named: Some([BETA, ""]), seen: None },
    Asked { host: IMPOSTOR, named: Some([IMPOSTOR, ""]), seen: None },
    // The next request is not affected.
    Asked { host: ALPHA, named: None, seen: Some(ALPHA) },
];

fn filter_state_wins_over_the_authority_and_that_over_the_clusters_server_name(
    envoy: &EnvoyBinary,
) -> Result<()> {
    let hosts =
        UpstreamHosts::start(ServerOptions { connection_per_request: true, ..ServerOptions::default() })?;
    let envoy = StaticEnvoy::start_named(envoy, &hosts)?;
    for (index, Asked { host, named, seen }) in ASKED.into_iter().enumerate() {
        let mut request = Request::get(format!("http://{host}:{}/", hosts.port()));
        if let Some([sni, names]) = named {
            request = request.header(format!("x-sni: {sni}"));
            if !names.is_empty() {
                request = request.header(format!("x-names: {names}"));
            }
        }
        let response = envoy.send(&request)?;
        let forwarded = &envoy.wait_forwarded(index + 1)?[index];
        let expected = if seen.is_some() { 200 } else { 503 };
        assert_eq!((response.status, forwarded.status), (expected, expected), "{index}: {response:#?}");
        if seen.is_none() {
            let failure = forwarded.failure.as_deref().unwrap_or_default();
            assert!(failure.contains("CERTIFICATE_VERIFY_FAILED"), "{index}: {failure}");
        }
    }
    let expected: Vec<_> = ASKED.iter().filter_map(|asked| asked.seen).collect();
    let served = hosts.nginx.wait_served(expected.len())?;
    assert_eq!(served.iter().map(|request| request.sni.as_str()).collect::<Vec<_>>(), expected);
    assert!(!expected.contains(&STATIC_SNI));
    Ok(())
}

on_each_envoy!(filter_state_wins_over_the_authority_and_that_over_the_clusters_server_name);
