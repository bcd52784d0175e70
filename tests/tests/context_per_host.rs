//! Sessions before Envoy 1.40: Envoy resumes the sessions of each host in use, and never offers one host's session to
//! another.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, Front, Head, Origin, ServerOptions, TlsVersions,
    UpstreamHosts, Wire,
};
use weir::nodes::host_contexts::ContextLimits;

use crate::served_envoy::{Options, ServedEnvoy};

const WAIT: Duration = Duration::from_secs(30);

fn hosts(tls: TlsVersions) -> Result<UpstreamHosts> {
    UpstreamHosts::start(ServerOptions { tls, connection_per_request: true, ..ServerOptions::default() })
}

/// Requests these hosts, each over a new upstream connection. Returns the hosts that resumed a session.
fn ask(client: &Client, hosts: &UpstreamHosts, asked: &[&str]) -> Result<Vec<bool>> {
    let before = hosts.nginx.served()?.len();
    for host in asked {
        let response = client.get(hosts.url(host, "/"))?;
        assert_eq!((response.status, response.content), (200, format!("{host} says hello\n")), "{host}");
    }
    let served = hosts.nginx.wait_served(before + asked.len())?.split_off(before);
    assert_eq!(served.iter().map(|request| request.sni.as_str()).collect::<Vec<_>>(), asked);
    Ok(served.iter().map(e2e::ServedRequest::is_resumed).collect())
}

fn wait_until_resumed(client: &Client, hosts: &UpstreamHosts, asked: &[&str]) -> Result<()> {
    Deadline::after(WAIT).poll("resumed sessions", || {
        Ok(ask(client, hosts, asked)?.into_iter().all(|resumed| resumed).then_some(()))
    })
}

fn each_host_resumes_its_own_sessions_in_either_order(envoy: &EnvoyBinary) -> Result<()> {
    for tls in [TlsVersions::Only12, TlsVersions::Only13] {
        for order in [[ALPHA, BETA], [BETA, ALPHA]] {
            let hosts = hosts(tls)?;
            let mut served = ServedEnvoy::start(envoy, &hosts, Options::new(&hosts)?)?;
            served.wait_until_ready()?;
            let client = served.client();
            wait_until_resumed(&client, &hosts, &order)?;
            assert_eq!(
                ask(&client, &hosts, &[order, order, order].concat())?,
                [true; 6],
                "{tls:?}, {order:?}"
            );
        }
    }
    Ok(())
}

fn a_new_control_plane_goes_on_with_the_contexts(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = hosts(TlsVersions::Both)?;
    let mut served = ServedEnvoy::start(envoy, &hosts, Options::new(&hosts)?)?;
    served.wait_until_ready()?;
    let client = served.client();
    wait_until_resumed(&client, &hosts, &[ALPHA, BETA])?;
    let changes =
        |served: &ServedEnvoy| served.admin("stats?filter=cluster_manager.cluster_(added|modified|removed)$");
    let before = changes(&served)?;
    served.kill_control_plane()?;
    assert_eq!(ask(&client, &hosts, &[BETA, ALPHA])?, [true; 2]);
    served.restart_control_plane()?;
    Deadline::after(WAIT).poll("answer of the new control plane", || {
        assert_eq!(ask(&client, &hosts, &[BETA, ALPHA])?, [true; 2]);
        Ok(served.admin("stats?filter=control_plane.connected_state")?.contains(": 1").then_some(()))
    })?;
    assert_eq!(ask(&client, &hosts, &[BETA, ALPHA])?, [true; 2]);
    assert_eq!(changes(&served)?, before);
    Ok(())
}

/// The removal of a context ends no stream, however long the stream lasts.
fn an_open_stream_outlives_its_context(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    for front in [Front::Http1, Front::Http2] {
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let origin = Origin::start(&hosts, front, move |head: &Head, wire: &mut Wire| {
            if !head.start.starts_with("GET /events ") {
                return wire.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
            wire.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: first\n\n")?;
            released.lock().expect("no test panicked here").recv_timeout(WAIT)?;
            wire.write("data: second\n\n")?;
            wire.end()
        })?;
        let host_contexts = ContextLimits {
            forgotten: Duration::from_secs(2),
            drain: Duration::from_millis(100),
            ..ContextLimits::DEFAULT
        };
        let policy = format!("rules:\n{}", origin.rule());
        let options = Options { policy, host_contexts, ..Options::new(&hosts)? };
        let mut served = ServedEnvoy::start(envoy, &hosts, options)?;
        served.wait_until_ready()?;
        let own = format!("dynamic_forward_proxy_cluster_https/{}", e2e::ORIGIN);
        let clusters = || served.admin("clusters");
        let client = served.client();
        Deadline::after(WAIT).poll("a connection over the host's own cluster", || {
            assert_eq!(client.get(origin.url("/"))?.status, 200);
            let text = clusters()?;
            let mut own = text.lines().filter(|line| line.starts_with(&own));
            Ok(own.any(|line| line.contains("::cx_total::") && !line.ends_with("::0")).then_some(()))
        })?;
        let streamed = {
            let (client, url) = (served.client(), origin.url("/events"));
            thread::spawn(move || client.get(url))
        };
        Deadline::after(WAIT).poll("a stream over the host's own cluster", || {
            let text = clusters()?;
            let mut own = text.lines().filter(|line| line.starts_with(&own));
            Ok(own.any(|line| line.ends_with("::rq_active::1")).then_some(()))
        })?;
        Deadline::after(WAIT)
            .poll("end of the host's own cluster", || Ok((!clusters()?.contains(&own)).then_some(())))?;
        release.send(())?;
        let response = streamed.join().expect("the client's thread panicked")?;
        assert_eq!((response.status, response.exit_code), (200, 0), "{front:?}: {response:?}");
        assert_eq!(response.content, "data: first\n\ndata: second\n\n", "{front:?}");
        assert_eq!(client.get(origin.url("/"))?.status, 200);
    }
    Ok(())
}

fn the_address_guard_stands_before_a_host_of_its_own_context(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = hosts(TlsVersions::Both)?;
    let mut served = ServedEnvoy::start(envoy, &hosts, Options::new(&hosts)?)?;
    served.wait_until_ready()?;
    let client = served.client();
    wait_until_resumed(&client, &hosts, &[ALPHA])?;
    served.replace_policy(&hosts.policy().replace("127.0.0.1/32", "127.0.0.2/32"))?;
    Deadline::after(WAIT).poll("refusal of an address that is no longer listed", || {
        let response = client.get(hosts.url(ALPHA, "/"))?;
        Ok((response.header("x-weir-decision") == Some("address_not_allowed")).then_some(()))
    })
}

/// A rule sends some of a host's requests under another server name. Each name resumes its own sessions.
fn a_host_with_a_second_server_name_resumes_under_each(envoy: &EnvoyBinary) -> Result<()> {
    for tls in [TlsVersions::Only12, TlsVersions::Only13] {
        let hosts = hosts(tls)?;
        let port = hosts.port();
        let policy = format!(
            "rules:
- {{id: first, effect: allow, hosts: [{ALPHA}], ports: [{port}], paths: [/], addresses: [127.0.0.1]}}
- id: second
  effect: allow
  hosts: [{ALPHA}]
  ports: [{port}]
  paths: [/second]
  addresses: [127.0.0.1]
  upstream: {{sni: {BETA}, names: [{BETA}]}}
"
        );
        let options = Options { policy, ..Options::new(&hosts)? };
        let mut served = ServedEnvoy::start(envoy, &hosts, options)?;
        served.wait_until_ready()?;
        let client = served.client();
        let round = || -> Result<Vec<(String, bool)>> {
            let before = hosts.nginx.served()?.len();
            for path in ["/", "/second", "/"] {
                let response = client.get(hosts.url(ALPHA, path))?;
                assert_eq!(response.status, 200, "{path}: {response:?}");
            }
            let served = hosts.nginx.wait_served(before + 3)?.split_off(before);
            Ok(served.into_iter().map(|request| (request.sni.clone(), request.is_resumed())).collect())
        };
        let resumed = [ALPHA, BETA, ALPHA].map(|sni| (sni.to_owned(), true)).to_vec();
        Deadline::after(WAIT).poll_eq("sessions resumed under each name", &resumed, round)?;
        assert_eq!(round()?, resumed, "{tls:?}");
    }
    Ok(())
}

/// The oldest and the newest version with this strategy.
macro_rules! on_envoys_before_1_40 {
    ($($name:ident),+ $(,)?) => {
        each_version!([$($name),+] envoy_1_36_4 = "1.36.4", envoy_1_39_3 = "1.39.3");
    };
}

// All hosts share one context here, and the rule's upstream has another.
on_newest_envoy!(a_host_with_a_second_server_name_resumes_under_each);

on_envoys_before_1_40!(
    each_host_resumes_its_own_sessions_in_either_order,
    a_new_control_plane_goes_on_with_the_contexts,
    an_open_stream_outlives_its_context,
    a_host_with_a_second_server_name_resumes_under_each,
    the_address_guard_stands_before_a_host_of_its_own_context,
);
