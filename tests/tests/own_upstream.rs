//! Rules with upstreams of their own: another address, server name, names to verify, roots, and a client certificate
//! that Envoy presents to no other host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use e2e::{
    ALPHA, BETA, CertificateAuthority, Deadline, EnvoyBinary, Front, ORIGIN, Origin, Request, Run,
    RunningGateway, ServerCertificate, ServerOptions, Site, TlsRelay, UpstreamHosts,
};

/// A host with a certificate of a root that is in no bundle.
const PRIVATE: &str = "private.weir.test";
/// A host with a certificate of that root. No rule trusts the root for this host.
const OTHER_PRIVATE: &str = "other-private.weir.test";
/// A host that requests client certificates.
const MUTUAL: &str = "mutual.weir.test";
/// A name that no name server knows.
const NOWHERE: &str = "nowhere.weir.test";

struct Fixture {
    hosts: UpstreamHosts,
    private_root: CertificateAuthority,
    clients: CertificateAuthority,
}

impl Fixture {
    fn start() -> Result<Self> {
        let private_root = CertificateAuthority::new("Private Root")?;
        let clients = CertificateAuthority::new("Root of Clients")?;
        let options = ServerOptions { connection_per_request: true, ..ServerOptions::default() };
        let hosts = UpstreamHosts::start_with(options, |alpha_authority| {
            let mutual = Site::new(MUTUAL, alpha_authority.issue(&[MUTUAL])?);
            Ok(vec![
                Site::new(PRIVATE, private_root.issue(&[PRIVATE])?),
                Site::new(OTHER_PRIVATE, private_root.issue(&[OTHER_PRIVATE])?),
                Site { clients: Some(clients.pem().to_owned()), ..mutual },
            ])
        })?;
        Ok(Self { hosts, private_root, clients })
    }

    /// Writes the hosts' policy and these rules, with `PORT` for the port of the TLS hosts. The files stand beside it.
    fn gateway(&self, envoy: &EnvoyBinary, rules: &str, files: &[(&str, &str)]) -> Result<RunningGateway> {
        let run = Run::new(envoy, &self.hosts, &self.policy(rules))?;
        for (name, content) in files {
            write(&run.policy().with_file_name(name), content)?;
        }
        run.start()
    }

    fn policy(&self, rules: &str) -> String {
        self.hosts.policy() + &rules.replace("PORT", &self.hosts.port().to_string())
    }

    fn client_certificate(&self) -> Result<ServerCertificate> {
        self.clients.issue_client("weir")
    }
}

/// Writes a file that only its owner may read.
fn write(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    Ok(fs::rename(&new, path)?)
}

/// Returns status and reason of a GET.
fn get(gateway: &RunningGateway, url: &str) -> Result<(u16, Option<String>)> {
    let response = gateway.client().get(url)?;
    Ok((response.status, response.header("x-weir-decision").map(str::to_owned)))
}

fn not_verified() -> (u16, Option<String>) {
    (503, Some("certificate_not_verified".to_owned()))
}

fn a_path_of_a_host_goes_out_under_another_server_name(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let rules = "  - {id: second, effect: allow, hosts: [alpha.weir.test], ports: [PORT], paths: [/second], methods: [POST],
     addresses: [127.0.0.1/32], upstream: {sni: beta.weir.test}}
";
    let gateway = fixture.gateway(envoy, rules, &[])?;
    let second = Request::get(fixture.hosts.url(ALPHA, "/second")).method("POST");
    let first = Request::get(fixture.hosts.url(ALPHA, "/"));
    for round in 0..3 {
        for (index, (request, name)) in [(&first, ALPHA), (&second, BETA)].into_iter().enumerate() {
            let response = gateway.client().send(request)?;
            assert_eq!((response.status, response.content.as_str()), (200, "alpha.weir.test says hello\n"));
            let count = 2 * round + index + 1;
            let decision = &gateway.decisions(count)?[count - 1];
            if envoy.version.as_str() >= "1.37" {
                assert_eq!(decision.upstream_names, [name]);
            }
            let served = &fixture.hosts.nginx.wait_served(count)?[count - 1];
            assert_eq!((served.sni.as_str(), served.host.as_str()), (name, ALPHA));
            assert_eq!(decision.sni.as_deref(), Some(name));
        }
    }
    Ok(())
}

fn a_rule_that_wants_no_sessions_has_none(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let rules = "  - {id: bare, effect: allow, hosts: [unlisted.weir.test], ports: [PORT], addresses: [127.0.0.1/32],
     upstream: {sessions: none}}
  - {id: own, effect: allow, hosts: [unlisted.weir.test], ports: [PORT], methods: [POST], addresses: [127.0.0.1/32],
     upstream: {sni: unlisted.weir.test}}
";
    let rules = rules.replacen("addresses", "methods: [GET], addresses", 1);
    let gateway = fixture.gateway(envoy, &rules, &[])?;
    let get = Request::get(fixture.hosts.url(e2e::UNLISTED, "/"));
    let post = get.clone().method("POST");
    for _ in 0..3 {
        for request in [&get, &post] {
            assert_eq!(gateway.client().send(request)?.status, 200);
        }
    }
    let served = fixture.hosts.nginx.wait_served(6)?;
    let resumed: Vec<_> = served.iter().map(e2e::ServedRequest::is_resumed).collect();
    assert_eq!(resumed, [false, false, false, true, false, true]);
    Ok(())
}

fn roots_of_a_rule_are_its_own_and_its_only_ones(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let rules = "  - {id: private, effect: allow, hosts: [private.weir.test], ports: [PORT], addresses: [127.0.0.1/32],
     upstream: {ca: private.pem}}
  - {id: other, effect: allow, hosts: [other-private.weir.test], ports: [PORT], addresses: [127.0.0.1/32]}
  - {id: strict, effect: allow, hosts: [unlisted.weir.test], ports: [PORT], addresses: [127.0.0.1/32],
     upstream: {ca: private.pem}}
";
    let gateway = fixture.gateway(envoy, rules, &[("private.pem", fixture.private_root.pem())])?;
    let ask = |name: &str| get(&gateway, &fixture.hosts.url(name, "/"));
    for _ in 0..2 {
        assert_eq!(ask(PRIVATE)?, (200, None));
        assert_eq!(ask(OTHER_PRIVATE)?, not_verified(), "another host got the rule's roots");
        assert_eq!(ask(e2e::UNLISTED)?, not_verified(), "the rule's roots are added to the usual ones");
        assert_eq!(ask(ALPHA)?, (200, None));
    }
    Ok(())
}

fn a_client_certificate_is_shown_to_its_upstream_alone(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let rules = "  - {id: mutual, effect: allow, hosts: [mutual.weir.test], ports: [PORT], paths: [/], addresses: [127.0.0.1/32],
     upstream: {client_certificate: client.pem, client_key: client.key}}
  - {id: bare, effect: allow, hosts: [mutual.weir.test], ports: [PORT], paths: [/bare], addresses: [127.0.0.1/32]}
";
    let certificate = fixture.client_certificate()?;
    let files =
        [("client.pem", certificate.chain_pem.as_str()), ("client.key", certificate.key_pem.as_str())];
    let gateway = fixture.gateway(envoy, rules, &files)?;
    for _ in 0..2 {
        assert_eq!(get(&gateway, &fixture.hosts.url(MUTUAL, "/"))?, (200, None));
        // nginx gives this answer to a client without a certificate.
        assert_eq!(get(&gateway, &fixture.hosts.url(MUTUAL, "/bare"))?, (400, None));
    }
    // The lines between the first and the last are the key.
    let secret = certificate.key_pem.lines().nth(1).expect("a key in PEM");
    let dump = gateway.envoy_admin("/config_dump")?;
    assert!(dump.contains("upstream_identity"), "the identity is no secret of Envoy's:\n{dump}");
    assert!(!dump.contains(secret) && !gateway.stderr().contains(secret));
    for folder in fs::read_dir(gateway.run().runtime())? {
        for file in fs::read_dir(folder?.path())? {
            let content = fs::read(file?.path()).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains(secret), "the key is in a file of the run");
        }
    }
    Ok(())
}

fn a_request_goes_to_another_host_and_is_verified_for_that_one(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let rules = "  - {id: elsewhere, effect: allow, hosts: [nowhere.weir.test], addresses: [127.0.0.1/32],
     upstream: {host: beta.weir.test, port: PORT}}
  - {id: wrong-name, effect: allow, hosts: [wrong.weir.test], addresses: [127.0.0.1/32],
     upstream: {host: beta.weir.test, port: PORT, names: [alpha.weir.test, private.weir.test]}}
  - {id: right-name, effect: allow, hosts: [right.weir.test], addresses: [127.0.0.1/32],
     upstream: {host: impostor.weir.test, port: PORT, names: [beta.weir.test, private.weir.test]}}
  - {id: by-address, effect: allow, hosts: [alpha.weir.test], methods: [PUT], addresses: [127.0.0.1/32],
     upstream: {host: 127.0.0.1, port: PORT}}
  - {id: inner, effect: allow, hosts: [inner.weir.test], upstream: {host: beta.weir.test, port: PORT}}
";
    let gateway = fixture.gateway(envoy, rules, &[])?;
    assert_eq!(get(&gateway, &format!("https://{NOWHERE}/"))?, (200, None));
    let served = &fixture.hosts.nginx.wait_served(1)?[0];
    assert_eq!((served.sni.as_str(), served.host.as_str()), (BETA, NOWHERE));
    let decision = gateway.only_decision()?;
    assert_eq!(decision.host.as_deref(), Some(NOWHERE));
    assert_eq!(decision.upstream, Some(format!("{BETA}:{}", fixture.hosts.port())));
    assert_eq!(decision.upstream_address, Some(fixture.hosts.nginx.address().to_string()));

    assert_eq!(get(&gateway, "https://wrong.weir.test/")?, not_verified());
    assert_eq!(get(&gateway, "https://right.weir.test/")?, (200, None));
    let put = Request::get(format!("https://{ALPHA}/")).method("PUT");
    assert_eq!(gateway.client().send(&put)?.status, 200);
    let served = fixture.hosts.nginx.wait_served(3)?;
    assert_eq!((served[2].sni.as_str(), served[2].host.as_str()), (ALPHA, ALPHA));
    // The address guard judges the upstream's address.
    let refused = (403, Some("address_not_allowed".to_owned()));
    assert_eq!(get(&gateway, "https://inner.weir.test/")?, refused);
    Ok(())
}

/// Clients cannot name such a host (`host_names.rs`).
fn an_upstream_may_have_an_underscore(envoy: &EnvoyBinary) -> Result<()> {
    const SERVICE: &str = "my_service.weir.test";
    let hosts = UpstreamHosts::start_with(ServerOptions::default(), |authority| {
        Ok(vec![Site::new(SERVICE, authority.issue(&[SERVICE])?)])
    })?;
    let upstream =
        |port: u16| format!("addresses: [127.0.0.1/32], upstream: {{host: {SERVICE}, port: {port}}}");
    let (tls, plain) = (upstream(hosts.port()), upstream(hosts.plain_port()));
    let rules = format!(
        "rules:
  - {{id: opened, effect: allow, hosts: [opened.weir.test], {tls}}}
  - {{id: passed, effect: allow, hosts: [passed.weir.test], tls: passthrough, {tls}}}
  - {{id: plain, effect: allow, hosts: [plain.weir.test], schemes: [http], {plain}}}
"
    );
    let gateway = Run::new(envoy, &hosts, &rules)?.start()?;
    assert_eq!(get(&gateway, "https://opened.weir.test/")?, (200, None));
    assert_eq!(gateway.only_decision()?.sni.as_deref(), Some(SERVICE));
    assert_eq!(get(&gateway, "http://plain.weir.test/")?, (200, None));
    let passed = gateway.client().insecure().get("https://passed.weir.test/")?;
    assert_eq!((passed.connect_status, passed.status), (200, 200), "{passed:#?}");
    Ok(())
}

fn the_cluster_is_the_filters_to_name_and_nobody_elses_to_see(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let origin = |front| {
        Origin::start(&fixture.hosts, front, |_, wire| {
            wire.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
        })
    };
    let (plain, tls) = (origin(Front::Plain)?, origin(Front::Http1)?);
    let rules = format!(
        "  - {{id: plain, effect: allow, hosts: [plain.weir.test], schemes: [http], addresses: [127.0.0.1/32],
     upstream: {{host: {ORIGIN}, port: {}}}}}
  - {{id: tls, effect: allow, hosts: [tls.weir.test], addresses: [127.0.0.1/32],
     upstream: {{host: {ORIGIN}, port: {}}}}}
",
        plain.port(),
        tls.port(),
    );
    let gateway = fixture.gateway(envoy, &rules, &[])?;
    let dump = gateway.envoy_admin("/clusters")?;
    let cluster = |kind: &str| {
        let mut names = dump.lines().filter_map(|line| line.split("::").next());
        names.find(|name| name.starts_with("weir_upstream_") && name.ends_with(kind)).map(str::to_owned)
    };
    let (to_plain, to_tls) = (cluster("_http").expect("a cluster"), cluster("_https").expect("a cluster"));
    for (origin, url, forged) in
        [(&plain, "http://plain.weir.test/", &to_tls), (&tls, "https://tls.weir.test/", &to_plain)]
    {
        let request = Request::get(url).header(format!("x-weir-upstream: {forged}"));
        assert_eq!(gateway.client().send(&request)?.status, 200);
        let head = &origin.wait_heads(1)?[0];
        assert_eq!(head.header("x-weir-upstream"), None);
        assert_eq!(head.header("host"), url.split('/').nth(2));
    }
    // Envoy forwards requests of a rule without an upstream to the host.
    let request = Request::get(fixture.hosts.url(ALPHA, "/")).header(format!("x-weir-upstream: {to_tls}"));
    assert_eq!(gateway.client().send(&request)?.content, "alpha.weir.test says hello\n");
    tls.wait_heads(1)?;
    Ok(())
}

fn an_upstream_of_a_rule_speaks_h2_and_carries_websockets(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let origin = Origin::start(&fixture.hosts, Front::Http2, |head, wire| {
        if head.header("upgrade").is_none() {
            return wire.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        wire.write(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello",
        )?;
        wire.end()
    })?;
    let rules = format!(
        "  - {{id: socket, effect: allow, hosts: [socket.weir.test], addresses: [127.0.0.1/32],
     upstream: {{host: {ORIGIN}, port: {}}}}}
",
        origin.port(),
    );
    let gateway = fixture.gateway(envoy, &rules, &[])?;
    assert_eq!(get(&gateway, "https://socket.weir.test/")?, (200, None));
    assert_eq!(origin.wait_heads(1)?[0].header("x-front-protocol"), Some("HTTP/2.0"));

    let relay = TlsRelay::dial(&gateway, "socket.weir.test:443", "http/1.1")?;
    let mut wire = relay.connect()?;
    wire.write(
        "GET / HTTP/1.1\r\nHost: socket.weir.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let head = wire.expect_head()?;
    assert_eq!(head.start, "HTTP/1.1 101 Switching Protocols", "{head:#?} {}", relay.stderr());
    assert_eq!(wire.read(5)?, b"hello");
    Ok(())
}

fn an_edit_of_a_file_is_in_force_and_a_bad_one_changes_nothing(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start()?;
    let rules = "  - {id: private, effect: allow, hosts: [private.weir.test], ports: [PORT], addresses: [127.0.0.1/32],
     upstream: {ca: private.pem}}
  - {id: mutual, effect: allow, hosts: [mutual.weir.test], ports: [PORT], addresses: [127.0.0.1/32],
     upstream: {client_certificate: client.pem, client_key: client.key}}
";
    let first = fixture.client_certificate()?;
    let files = [
        ("private.pem", fixture.hosts.alpha_authority.pem()),
        ("client.pem", &first.chain_pem),
        ("client.key", &first.key_pem),
    ];
    let gateway = fixture.gateway(envoy, rules, &files)?;
    let beside = |name: &str| gateway.run().policy().with_file_name(name);
    let private = || get(&gateway, &fixture.hosts.url(PRIVATE, "/"));
    let mutual = || get(&gateway, &fixture.hosts.url(MUTUAL, "/"));
    assert_eq!((private()?, mutual()?), (not_verified(), (200, None)));

    write(&beside("private.pem"), fixture.private_root.pem())?;
    Deadline::seconds(15).poll_eq("the private host with its root", &(200, None), private)?;

    write(&beside("client.key"), &fixture.client_certificate()?.key_pem)?;
    Deadline::seconds(15).poll("word of the key that does not fit", || {
        Ok(gateway.stderr().contains("is not the key of the certificate").then_some(()))
    })?;
    assert!(gateway.stderr().contains(".upstream.client_key"), "{}", gateway.stderr());
    assert_eq!((private()?, mutual()?), ((200, None), (200, None)));

    // The certificate is of another root than the one that the server requests. Envoy presents it from now on.
    let stranger = fixture.private_root.issue_client("stranger")?;
    write(&beside("client.pem"), &stranger.chain_pem)?;
    write(&beside("client.key"), &stranger.key_pem)?;
    Deadline::seconds(15).poll_eq("the refusal of the other certificate", &(400, None), mutual)?;

    // The rule without its upstream follows.
    let without = rules.replace(",\n     upstream: {ca: private.pem}", "");
    write(&gateway.run().policy(), &fixture.policy(&without))?;
    Deadline::seconds(15).poll_eq("the private host without its root", &not_verified(), private)
}

on_oldest_and_newest_envoy!(
    a_path_of_a_host_goes_out_under_another_server_name,
    a_rule_that_wants_no_sessions_has_none,
    roots_of_a_rule_are_its_own_and_its_only_ones,
    a_client_certificate_is_shown_to_its_upstream_alone,
    a_request_goes_to_another_host_and_is_verified_for_that_one,
    an_upstream_may_have_an_underscore,
    the_cluster_is_the_filters_to_name_and_nobody_elses_to_see,
    an_upstream_of_a_rule_speaks_h2_and_carries_websockets,
    an_edit_of_a_file_is_in_force_and_a_bad_one_changes_nothing,
);
