//! Tests of the harness itself.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use anyhow::Result;
use e2e::{
    ALPHA, BETA, Client, Deadline, EnvoyBinary, IMPOSTOR, Process, Request, ServerOptions, TlsVersions,
    UpstreamHosts, VERSIONS,
};

/// Connects to nginx directly, under the hosts' names.
fn straight(hosts: &UpstreamHosts) -> Client {
    Client::direct().trusting(&hosts.roots()).connecting_to(hosts.nginx.address().to_string())
}

#[test]
fn each_host_presents_its_own_certificate_and_names_itself() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    for host in [ALPHA, BETA] {
        let response = straight(&hosts).get(hosts.url(host, "/"))?;
        assert_eq!(
            (response.status, response.content),
            (200, format!("{host} says hello\n")),
            "{}",
            response.error
        );
    }
    let served = hosts.nginx.wait_served(2)?;
    assert_eq!(served.iter().map(|request| request.sni.as_str()).collect::<Vec<_>>(), [ALPHA, BETA]);
    assert_eq!(served.iter().map(|request| request.host.as_str()).collect::<Vec<_>>(), [ALPHA, BETA]);
    assert!(served.iter().all(|request| request.request == "GET / HTTP/1.1" && !request.is_resumed()));
    Ok(())
}

#[test]
fn each_host_is_vouched_for_by_its_own_root_alone() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let folder = tempfile::TempDir::new()?;
    let roots = folder.path().join("alpha.pem");
    std::fs::write(&roots, hosts.alpha_authority.pem())?;
    let client = straight(&hosts).trusting(&roots);
    assert_eq!(client.get(hosts.url(ALPHA, "/"))?.status, 200);
    let refused = client.get(hosts.url(BETA, "/"))?;
    assert_eq!((refused.exit_code, refused.status), (60, 0), "{}", refused.error);
    Ok(())
}

#[test]
fn the_impostor_presents_the_certificate_of_another_host() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let response = straight(&hosts).get(hosts.url(IMPOSTOR, "/"))?;
    assert_eq!((response.exit_code, response.status), (60, 0));
    assert!(response.error.contains("subject name"), "{}", response.error);
    Ok(())
}

#[test]
fn the_server_speaks_the_versions_that_it_was_told_to() -> Result<()> {
    for (tls, expected) in [(TlsVersions::Only12, "TLSv1.2"), (TlsVersions::Only13, "TLSv1.3")] {
        let hosts = UpstreamHosts::start(ServerOptions { tls, http2: true, ..ServerOptions::default() })?;
        let response = straight(&hosts).send(&Request::get(hosts.url(ALPHA, "/")).http2())?;
        assert_eq!((response.status, response.version.as_str()), (200, "2"));
        let served = hosts.nginx.wait_served(1)?;
        assert_eq!((served[0].tls.as_str(), served[0].protocol.as_str()), (expected, "HTTP/2.0"));
    }
    Ok(())
}

#[test]
fn a_connection_is_kept_unless_the_server_is_told_otherwise() -> Result<()> {
    for (connection_per_request, expected) in [(false, [1, 0]), (true, [1, 1])] {
        let hosts =
            UpstreamHosts::start(ServerOptions { connection_per_request, ..ServerOptions::default() })?;
        let request = Request::get(hosts.url(ALPHA, "/"));
        let responses = straight(&hosts).send_all(&[request.clone(), request])?;
        assert_eq!(responses.iter().map(|response| response.connections).collect::<Vec<_>>(), expected);
    }
    Ok(())
}

#[test]
fn a_path_reaches_the_server_as_it_was_typed() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    // nginx refuses a path that leads above the root. So no part on the way removed the dots.
    assert_eq!(straight(&hosts).get(hosts.url(ALPHA, "/../a%2fb"))?.status, 400);
    assert_eq!(hosts.nginx.wait_served(1)?[0].request, "GET /../a%2fb HTTP/1.1");
    Ok(())
}

#[test]
fn header_bytes_that_are_not_utf_8_are_sent_as_they_are() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let server = thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            request.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        Ok(request)
    });
    let response = Client::direct().send(&Request::get(url).header(b"x-raw: \xff".to_vec()))?;
    assert_eq!(response.status, 204, "{}", response.error);
    let request = server.join().expect("the server thread panicked")?;
    assert!(request.windows(8).any(|bytes| bytes == b"x-raw: \xff"), "{request:?}");
    Ok(())
}

#[test]
fn a_dropped_process_has_ended() -> Result<()> {
    let process = Process::start("sleep", Process::command("sleep").arg("600"))?;
    let id = process.id();
    assert!(id.is_running());
    drop(process);
    assert!(!id.is_running());
    Ok(())
}

#[test]
fn a_dropped_server_leaves_no_worker() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let workers = Deadline::seconds(10).poll("worker of nginx", || {
        let workers = hosts.nginx.id().descendants()?;
        Ok((!workers.is_empty()).then_some(workers))
    })?;
    drop(hosts);
    assert!(workers.iter().all(|worker| !worker.is_running()));
    Ok(())
}

#[test]
fn the_addresses_that_a_process_listens_on_are_found() -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut listening = hosts.nginx.id().listening()?;
    listening.sort();
    let mut expected = [hosts.nginx.address(), hosts.nginx.plain_address()];
    expected.sort();
    assert_eq!(listening, expected);
    Ok(())
}

fn a_binary_tells_the_version_that_its_folder_is_named_after(envoy: &EnvoyBinary) -> Result<()> {
    assert_eq!(EnvoyBinary::at(envoy.path.clone())?.version, envoy.version);
    Ok(())
}

on_each_envoy!(a_binary_tells_the_version_that_its_folder_is_named_after);

#[test]
fn every_envoy_has_its_tests() {
    // The macro lists the versions again, and `cargo xtask test` installs those of the list.
    let source = include_str!("each_envoy.rs");
    assert!(VERSIONS.iter().all(|version| source.contains(&format!("\"{version}\""))));
}
