//! Unusual ClientHellos, at the proxy and redirected: Weir accepts a well-formed one of any size and in any pieces, and
//! forwards nothing for one that names no host.

mod ech;
pub(crate) mod plain;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{ALPHA, BETA, EnvoyBinary, Run, RunningGateway, ServerOptions, UpstreamHosts, require_program};
use rustls::client::EchMode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, PeerIncompatible, RootCertStore, StreamOwned};

use crate::transparent;

const LIMIT: Duration = Duration::from_secs(20);

/// The record type of a message that ends a handshake.
const ALERT: u8 = 21;
/// The message that ends a server's first flight before TLS 1.3.
const SERVER_HELLO_DONE: [u8; 4] = [14, 0, 0, 0];

/// The way on which a client's bytes reach Weir.
#[derive(Clone, Copy, Debug)]
enum Way {
    Tunnel,
    Redirected,
}

const WAYS: [Way; 2] = [Way::Tunnel, Way::Redirected];

fn start(envoy: &EnvoyBinary) -> Result<(UpstreamHosts, RunningGateway)> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut run = Run::new(envoy, &hosts, &hosts.policy())?;
    run.transparent = transparent::listeners()?;
    Ok((hosts, run.start()?))
}

impl Way {
    /// Opens a connection on which Weir expects TLS for alpha.
    fn connect(self, gateway: &RunningGateway, hosts: &UpstreamHosts) -> Result<TcpStream> {
        let tcp = match self {
            Self::Tunnel => {
                let mut tcp = TcpStream::connect(gateway.address()?)?;
                let target = hosts.authority(ALPHA);
                tcp.write_all(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes())?;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    tcp.read_exact(&mut byte)?;
                    head.extend(byte);
                }
                ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
                tcp
            }
            Self::Redirected => TcpStream::connect(gateway.run().transparent[0])?,
        };
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(LIMIT))?;
        tcp.set_write_timeout(Some(LIMIT))?;
        Ok(tcp)
    }

    /// Returns all bytes that Weir answers to these bytes, up to the end of the connection.
    fn answer(self, gateway: &RunningGateway, hosts: &UpstreamHosts, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut tcp = self.connect(gateway, hosts)?;
        // Weir may close the connection before it has read everything.
        tcp.write_all(bytes).ok();
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        loop {
            match tcp.read(&mut part) {
                Ok(0) => return Ok(answer),
                Ok(count) => answer.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(answer),
                Err(error) => return Err(error).context(format!("after {answer:?}")),
            }
        }
    }
}

/// The shape of a hello.
struct Shape {
    what: &'static str,
    /// The length of the protocol names that the hello offers beside HTTP/1.1.
    padding: usize,
    /// The length of a segment.
    piece: usize,
    ech: Option<EchMode>,
}

const ORDINARY: Shape = Shape { what: "an ordinary hello", padding: 0, piece: usize::MAX, ech: None };

fn config(gateway: &RunningGateway, shape: &Shape) -> Result<ClientConfig> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(gateway.authority())? {
        store.add(root?)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = match &shape.ech {
        Some(ech) => builder.with_ech(ech.clone())?,
        None => builder.with_safe_default_protocol_versions()?,
    };
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    let names = (0..shape.padding.div_ceil(250)).map(|number| format!("{number:0249}").into_bytes());
    config.alpn_protocols = names.chain([b"http/1.1".to_vec()]).collect();
    Ok(config)
}

/// Completes a handshake. Returns also the length of the hello.
fn shake(
    mut tcp: TcpStream,
    config: ClientConfig,
    name: &str,
    piece: usize,
) -> Result<(StreamOwned<ClientConnection, TcpStream>, usize)> {
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
    let mut hello = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut hello)?;
    }
    for piece in hello.chunks(piece) {
        tcp.write_all(piece)?;
    }
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    Ok((StreamOwned::new(tls, tcp), hello.len()))
}

fn status(stream: &mut (impl Read + Write), authority: &str) -> Result<String> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n").as_bytes())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(String::from_utf8_lossy(&start).into_owned())
}

fn hellos_of_every_size_in_any_pieces_get_through(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    let shapes = [
        ORDINARY,
        Shape { what: "one byte a segment", piece: 1, ..ORDINARY },
        Shape { what: "over 1 KiB, as with a post-quantum key", padding: 1_500, ..ORDINARY },
        Shape { what: "the same, one byte a segment", padding: 1_500, piece: 1, ..ORDINARY },
        Shape { what: "nearly 16 KiB", padding: 15_500, piece: 1_000, ..ORDINARY },
        Shape { what: "ECH made up (GREASE)", ech: Some(ech::grease()), ..ORDINARY },
    ];
    for shape in shapes {
        for way in WAYS {
            let what = format!("{}, {way:?}", shape.what);
            let tcp = way.connect(&gateway, &hosts)?;
            let shaken = shake(tcp, config(&gateway, &shape)?, ALPHA, shape.piece);
            let (mut stream, length) = shaken.with_context(|| what.clone())?;
            ensure!(length > shape.padding, "{what}: {length} bytes");
            assert_eq!(status(&mut stream, &hosts.authority(ALPHA))?, "HTTP/1.1 200", "{what}");
        }
    }
    Ok(())
}

fn a_hello_over_16_kib_is_closed_and_harms_nobody(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    for way in WAYS {
        let shape = Shape { padding: 20_000, ..ORDINARY };
        let tcp = way.connect(&gateway, &hosts)?;
        assert!(shake(tcp, config(&gateway, &shape)?, ALPHA, usize::MAX).is_err(), "{way:?}");
        let (mut stream, _) =
            shake(way.connect(&gateway, &hosts)?, config(&gateway, &ORDINARY)?, ALPHA, usize::MAX)?;
        assert_eq!(status(&mut stream, &hosts.authority(ALPHA))?, "HTTP/1.1 200", "{way:?}");
    }
    Ok(())
}

/// The filter judges the outer server name. The client learns from a certificate for that name that nobody read the
/// inner hello.
fn an_encrypted_hello_is_rejected_under_its_outer_name(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    for way in WAYS {
        let shape = Shape { ech: Some(ech::hiding_behind(ALPHA)?), ..ORDINARY };
        let tcp = way.connect(&gateway, &hosts)?;
        let error =
            shake(tcp, config(&gateway, &shape)?, BETA, usize::MAX).err().context("it was accepted")?;
        let rejected = PeerIncompatible::ServerRejectedEncryptedClientHello(None).into();
        let said = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let said = said.and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(said, Some(&rejected), "{way:?}: {error:#}");
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

fn old_versions_get_an_alert(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    for way in WAYS {
        for minor in [1, 2] {
            let answer = way.answer(&gateway, &hosts, &plain::hello(minor, Some(ALPHA.as_bytes())))?;
            // The bytes are a fatal alert, protocol_version.
            assert_eq!(
                (answer.first(), &answer[5..]),
                (Some(&21), &[2, 70][..]),
                "TLS 1.{}, {way:?}",
                minor - 1
            );
        }
    }
    Ok(())
}

/// Weir ends the handshake. Where it sends certificates in advance, the client gets a certificate for another name.
fn an_address_as_server_name_gets_no_certificate(envoy: &EnvoyBinary) -> Result<()> {
    let (hosts, gateway) = start(envoy)?;
    for way in WAYS {
        for name in ["127.0.0.1", "::1", "[::1]", "2130706433"] {
            let mut tcp = way.connect(&gateway, &hosts)?;
            tcp.write_all(&plain::hello(3, Some(name.as_bytes())))?;
            let mut answer = Vec::new();
            // Before TLS 1.3, the certificate can be read on the wire.
            let done = |answer: &[u8]| answer.first() == Some(&ALERT) || answer.ends_with(&SERVER_HELLO_DONE);
            while !done(&answer) {
                let mut part = [0; 4096];
                let count = tcp.read(&mut part).with_context(|| format!("{way:?}, {name}"))?;
                ensure!(count > 0, "{way:?}, {name}: closed after {answer:?}");
                answer.extend_from_slice(&part[..count]);
            }
            assert_eq!(answer[0] == ALERT, envoy.version.as_str() >= "1.37", "{way:?}, {name}");
            assert!(!answer.windows(name.len()).any(|part| part == name.as_bytes()), "{way:?}, {name}");
        }
    }
    Ok(())
}

/// A filter chain describes a connection to the policy filter in one line, and the client chooses the server name in
/// it. Weir refuses a forged line in the handshake. Where it sends certificates in advance, the filter denies the
/// request.
fn a_server_name_that_looks_like_more_gets_nothing(envoy: &EnvoyBinary) -> Result<()> {
    const SCRIPT: &str = "import socket, ssl, sys\n\
        _, name, authority = sys.argv\n\
        context = ssl.create_default_context()\n\
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n\
        try: tls = context.wrap_socket(socket.socket(fileno=0), server_hostname=name)\n\
        except ssl.SSLError: sys.exit(print('refused'))\n\
        tls.sendall(f'GET / HTTP/1.1\\r\\nhost: {authority}\\r\\n\\r\\n'.encode())\n\
        print(tls.recv(12).decode())";
    let (hosts, gateway) = start(envoy)?;
    let authority = hosts.authority(ALPHA);
    let expected = if envoy.version.as_str() >= "1.37" { "refused" } else { "HTTP/1.1 421" };
    for way in WAYS {
        for name in [format!("{ALPHA}/{authority}"), format!("{ALPHA}/"), format!("/{ALPHA}"), "/".to_owned()]
        {
            let tcp = way.connect(&gateway, &hosts)?;
            // Python has a wait of its own.
            tcp.set_read_timeout(None)?;
            let mut python = Command::new(require_program("python3")?);
            let said = python.args(["-c", SCRIPT, &name, &authority]).stdin(OwnedFd::from(tcp)).output()?;
            ensure!(said.status.success(), "{name}, {way:?}: {}", String::from_utf8_lossy(&said.stderr));
            assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), expected, "{name}, {way:?}");
        }
    }
    assert_eq!(hosts.nginx.served()?, []);
    Ok(())
}

on_oldest_and_newest_envoy!(
    hellos_of_every_size_in_any_pieces_get_through,
    a_hello_over_16_kib_is_closed_and_harms_nobody,
    an_encrypted_hello_is_rejected_under_its_outer_name,
    old_versions_get_an_alert,
    an_address_as_server_name_gets_no_certificate,
    a_server_name_that_looks_like_more_gets_nothing,
);
