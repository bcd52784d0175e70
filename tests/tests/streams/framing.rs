//! Client and upstream agree where each message ends: interim answers, answers without content, HTTP/1.0, trailers.

use std::sync::mpsc::channel;

use anyhow::{Result, bail, ensure};
use e2e::{EnvoyBinary, Front, Head, Request, TlsRelay, Wire};

use super::curl::Curl;
use super::{WAIT, connect, start, tell_pieces, wait_pieces};

fn a_client_that_expects_to_be_told_to_continue_is_told(envoy: &EnvoyBinary) -> Result<()> {
    let (tell, told) = channel();
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http1], || {
        let answer = tell_pieces(tell.clone());
        move |head: &Head, wire: &mut Wire| {
            ensure!(head.header("expect") == Some("100-continue"), "no `Expect`: {head:#?}");
            wire.write("HTTP/1.1 100 Continue\r\n\r\n")?;
            answer(head, wire)
        }
    })?;
    for origin in &origins {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let mut wire = relay.connect()?;
        let authority = origin.authority();
        wire.write(format!(
            "PUT / HTTP/1.1\r\nhost: {authority}\r\nexpect: 100-continue\r\ncontent-length: 7\r\n\r\n"
        ))?;
        assert_eq!(wire.expect_head()?.start, "HTTP/1.1 100 Continue");
        wire.write("content")?;
        wait_pieces(&told, "content")?;
        assert_eq!(wire.expect_head()?.start, "HTTP/1.1 200 OK");
        assert_eq!(wire.read(5)?, b"done\n");
    }
    Ok(())
}

fn a_client_of_http_1_0_reads_the_content_to_the_end_of_the_connection(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |_: &Head, wire: &mut Wire| {
            wire.write(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
            )
        }
    })?;
    for (origin, front) in origins.iter().zip(fronts) {
        let relay = TlsRelay::dial(&gateway, &origin.authority(), "http/1.1")?;
        let (mut wire, target) = connect(&gateway, &relay, origin, front)?;
        wire.write(format!("GET {target} HTTP/1.0\r\nhost: {}\r\n\r\n", origin.authority()))?;
        let head = wire.expect_head()?;
        assert!(head.start.ends_with(" 200 OK"), "{front:?}: {head:#?}");
        assert_eq!(head.header("transfer-encoding"), None, "{head:#?}");
        assert_eq!(wire.read_to_end()?, b"onetwo");
    }
    Ok(())
}

fn answers_without_content_leave_the_connection_in_step(envoy: &EnvoyBinary) -> Result<()> {
    let fronts = [Front::Plain, Front::Http1, Front::Http2];
    let (_hosts, origins, gateway) = start(envoy, &fronts, || {
        |head: &Head, wire: &mut Wire| match head.start.as_str() {
            "GET /204 HTTP/1.1" => wire.write("HTTP/1.1 204 No Content\r\nx-is: none\r\n\r\n"),
            "GET /304 HTTP/1.1" => wire.write("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n"),
            "HEAD / HTTP/1.1" => wire.write("HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n"),
            "GET / HTTP/1.1" => wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes"),
            other => bail!("not expected: {other}"),
        }
    })?;
    for origin in &origins {
        let requests = [
            Request::get(origin.url("/")).method("HEAD"),
            Request::get(origin.url("/204")),
            Request::get(origin.url("/304")).header("if-none-match: \"a\""),
            Request::get(origin.url("/")),
        ];
        for requests in [requests.clone(), requests.map(Request::http2)] {
            let responses = gateway.client().send_all(&requests)?;
            let seen: Vec<_> = responses.iter().map(|it| (it.status, it.connections, it.exit_code)).collect();
            assert_eq!(seen, [(200, 1, 0), (204, 0, 0), (304, 0, 0), (200, 0, 0)], "{responses:#?}");
            assert_eq!(responses[0].header("content-length"), Some("12345"));
            assert_eq!(responses[1].header("content-length"), None);
            assert_eq!(responses[2].header("etag"), Some("\"a\""));
            assert_eq!(responses[3].content, "yes");
        }
    }
    Ok(())
}

fn trailers_arrive_over_h2(envoy: &EnvoyBinary) -> Result<()> {
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http2], || {
        |head: &Head, wire: &mut Wire| {
            // gRPC requires that every proxy forwards this header.
            ensure!(head.header("te") == Some("trailers"), "no `te: trailers`: {head:#?}");
            wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndone\n\r\n0\r\n\r\n")
        }
    })?;
    let curl = Curl::new(&gateway)?.args(["--http2", "--header", "te: trailers", "--include"]);
    let mut curl = curl.start(&origins[0].url("/"))?;
    curl.wait_line("done")?;
    // curl writes trailers behind the content, as it does headers before it.
    curl.wait_line("x-front-trailer: end")?;
    curl.succeed()
}

fn trailers_arrive_over_http_1(envoy: &EnvoyBinary) -> Result<()> {
    let (tell, told) = channel();
    let (_hosts, origins, gateway) = start(envoy, &[Front::Http1], || {
        let tell = tell.clone();
        move |head: &Head, wire: &mut Wire| {
            tell.send(wire.read_content(head, |_| {})?)?;
            wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")?;
            wire.write("3\r\nyes\r\n0\r\nx-sum: answered\r\n\r\n")
        }
    })?;
    let relay = TlsRelay::dial(&gateway, &origins[0].authority(), "http/1.1")?;
    let mut wire = relay.connect()?;
    let authority = origins[0].authority();
    wire.write(format!(
        "POST / HTTP/1.1\r\nhost: {authority}\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\nyes\r\n0\r\nx-sum: asked\r\n\r\n"
    ))?;
    let head = wire.expect_head()?;
    assert_eq!(head.start, "HTTP/1.1 200 OK");
    assert_eq!(wire.read_content(&head, |_| {})?, ["x-sum: answered"]);
    assert_eq!(told.recv_timeout(WAIT)?, ["x-sum: asked"]);
    Ok(())
}

on_oldest_and_newest_envoy!(
    a_client_that_expects_to_be_told_to_continue_is_told,
    a_client_of_http_1_0_reads_the_content_to_the_end_of_the_connection,
    answers_without_content_leave_the_connection_in_step,
    trailers_arrive_over_h2,
    trailers_arrive_over_http_1,
);
