//! gRPC with a real library at both ends: each kind of call, through interception.

use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{EnvoyBinary, ORIGIN, Run, RunningGateway, ServerOptions, TlsRelay, UpstreamHosts};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc as Server, NamedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

type Answer = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// The number of messages in a streaming call.
const MANY: usize = 1000;

fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

/// A service with a method of each kind. It reports calls that their clients have cancelled.
#[derive(Clone)]
struct Echo {
    abandoned: mpsc::UnboundedSender<String>,
}

impl NamedService for Echo {
    const NAME: &'static str = "weir.test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let abandoned = self.abandoned.clone();
        let mut server = Server::new(codec());
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/weir.test.Echo/Unary" => server.unary(service_fn(unary), request).await,
                "/weir.test.Echo/Serve" => server.server_streaming(service_fn(serve), request).await,
                "/weir.test.Echo/Collect" => server.client_streaming(service_fn(collect), request).await,
                "/weir.test.Echo/Converse" => server.streaming(service_fn(converse), request).await,
                "/weir.test.Echo/Wait" => {
                    let wait = service_fn(move |request| wait(request, abandoned.clone()));
                    server.unary(wait, request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Answers the message with its metadata, or with the error that the message requests.
async fn unary(request: Request<String>) -> Result<Response<String>, Status> {
    if request.get_ref() == "fail" {
        let mut status =
            Status::with_details(Code::FailedPrecondition, "not so: \u{fc} 100 %\n", vec![0, 255].into());
        status.metadata_mut().insert_bin("x-cause-bin", MetadataValue::from_bytes(&[1, 0, 254]));
        return Err(status);
    }
    let (metadata, _, message) = request.into_parts();
    let mut response = Response::new(message);
    if let Some(value) = metadata.get("x-text") {
        response.metadata_mut().insert("x-text", value.clone());
    }
    if let Some(value) = metadata.get_bin("x-raw-bin") {
        response.metadata_mut().insert_bin("x-raw-bin", value.clone());
    }
    Ok(response)
}

/// Counts up, and fails after the last number.
async fn serve(request: Request<String>) -> Result<Response<Answer>, Status> {
    let count: usize = request.get_ref().parse().map_err(|_| Status::invalid_argument("no number"))?;
    let numbers = tokio_stream::iter((0..count).map(|number| Ok(number.to_string())));
    let end = tokio_stream::iter([Err(Status::out_of_range("that was all"))]);
    Ok(Response::new(Box::pin(numbers.chain(end))))
}

/// Answers the number of messages.
async fn collect(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let mut messages = request.into_inner();
    let mut count = 0;
    while messages.message().await?.is_some() {
        count += 1;
    }
    Ok(Response::new(format!("{count} messages")))
}

/// Answers each message before the next arrives.
async fn converse(request: Request<Streaming<String>>) -> Result<Response<Answer>, Status> {
    Ok(Response::new(Box::pin(request.into_inner())))
}

/// Never answers, and reports when it is dropped.
async fn wait(
    request: Request<String>,
    abandoned: mpsc::UnboundedSender<String>,
) -> Result<Response<String>, Status> {
    struct Told(mpsc::UnboundedSender<String>, String);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(self.1.clone()).ok();
        }
    }
    let timeout = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
    let _told = Told(abandoned, timeout.unwrap_or("none").to_owned());
    std::future::pending().await
}

/// The service behind a gateway, and a channel to it.
struct Fixture {
    // Rust drops the fields in this order.
    channel: Channel,
    /// The `grpc-timeout` of each cancelled call.
    abandoned: Option<mpsc::UnboundedReceiver<String>>,
    _dialled: TlsRelay,
    gateway: RunningGateway,
    _served: TlsRelay,
    _hosts: UpstreamHosts,
    _directory: TempDir,
    runtime: Runtime,
}

impl Fixture {
    fn start(envoy: &EnvoyBinary) -> Result<Self> {
        let hosts = UpstreamHosts::start(ServerOptions::default())?;
        hosts.dns.set(ORIGIN, vec![Ipv4Addr::LOCALHOST.into()]);
        let runtime = Runtime::new()?;
        let (tell, abandoned) = mpsc::unbounded_channel();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let server = tonic::transport::Server::builder().add_service(Echo { abandoned: tell });
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

        let directory = TempDir::new()?;
        let certificate = hosts.alpha_authority.issue(&[ORIGIN])?;
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        fs::write(&chain, certificate.chain_pem)?;
        fs::write(&key, certificate.key_pem)?;
        let served = TlsRelay::serve(&chain, &key, "h2", address)?;

        let port = served.address().port();
        let policy = format!(
            "rules:\n  - id: grpc\n    effect: allow\n    hosts: [{ORIGIN}]\n    ports: [{port}]\n    \
             paths: ['/weir.test.Echo/*']\n    addresses: [127.0.0.1/32]\n"
        );
        let gateway = Run::new(envoy, &hosts, &policy)?.start()?;
        let authority = format!("{ORIGIN}:{port}");
        let dialled = TlsRelay::dial(&gateway, &authority, "h2")?;
        let endpoint = Endpoint::from_shared(format!("http://{}", dialled.address()))?;
        let endpoint = endpoint.origin(format!("https://{authority}").parse()?);
        let channel = runtime.block_on(endpoint.connect())?;
        Ok(Self {
            channel,
            abandoned: Some(abandoned),
            _dialled: dialled,
            gateway,
            _served: served,
            _hosts: hosts,
            _directory: directory,
            runtime,
        })
    }

    async fn client(&self) -> Result<Client<Channel>> {
        let mut client = Client::new(self.channel.clone());
        client.ready().await?;
        Ok(client)
    }
}

fn method(name: &str) -> PathAndQuery {
    format!("/weir.test.Echo/{name}").parse().expect("a path")
}

fn every_kind_of_grpc_call_goes_through(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start(envoy)?;
    fixture.runtime.block_on(async {
        let mut client = fixture.client().await?;
        let mut request = Request::new("hello".repeat(600_000));
        request.metadata_mut().insert("x-text", "a b".parse()?);
        request.metadata_mut().insert_bin("x-raw-bin", MetadataValue::from_bytes(&[0, 1, 255]));
        let response = client.unary(request, method("Unary"), codec()).await?;
        assert_eq!(response.metadata().get("x-text").map(MetadataValue::as_bytes), Some(b"a b".as_slice()));
        let raw = response.metadata().get_bin("x-raw-bin").context("no binary metadata")?;
        assert_eq!(raw.to_bytes()?.as_ref(), [0, 1, 255]);
        assert_eq!(response.into_inner().len(), 3_000_000);

        client.ready().await?;
        let count = Request::new(MANY.to_string());
        let mut numbers = client.server_streaming(count, method("Serve"), codec()).await?.into_inner();
        for number in 0..MANY {
            assert_eq!(numbers.message().await?, Some(number.to_string()));
        }
        // The status comes in the trailers, after all messages.
        let end = numbers.message().await.expect_err("the end is an error");
        assert_eq!((end.code(), end.message()), (Code::OutOfRange, "that was all"));

        client.ready().await?;
        let messages = tokio_stream::iter((0..MANY).map(|number| number.to_string()));
        let counted = client.client_streaming(Request::new(messages), method("Collect"), codec()).await?;
        assert_eq!(counted.into_inner(), format!("{MANY} messages"));

        client.ready().await?;
        let (say, said) = mpsc::channel(1);
        let said = Request::new(ReceiverStream::new(said));
        let mut heard = client.streaming(said, method("Converse"), codec()).await?.into_inner();
        for turn in 0..100 {
            let text = format!("turn {turn}");
            say.send(text.clone()).await?;
            assert_eq!(heard.message().await?, Some(text));
        }
        drop(say);
        assert_eq!(heard.message().await?, None);
        assert!(heard.trailers().await?.is_some(), "the status comes in trailers");
        anyhow::Ok(())
    })?;
    let decisions = fixture.gateway.decisions(4)?;
    assert!(decisions.iter().all(|decision| decision.reason == "allowed"), "{decisions:#?}");
    Ok(())
}

fn a_status_of_grpc_arrives_whole(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start(envoy)?;
    fixture.runtime.block_on(async {
        let mut client = fixture.client().await?;
        let failed = client.unary(Request::new("fail".to_owned()), method("Unary"), codec()).await;
        let status = failed.expect_err("it was told to fail");
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not so: \u{fc} 100 %\n"));
        assert_eq!(status.details(), [0, 255]);
        let cause = status.metadata().get_bin("x-cause-bin").context("no metadata")?;
        assert_eq!(cause.to_bytes()?.as_ref(), [1, 0, 254]);
        anyhow::Ok(())
    })
}

/// The server reads the client's time limit, and learns at once that the client has cancelled.
fn a_deadline_of_grpc_reaches_the_server_and_so_does_its_end(envoy: &EnvoyBinary) -> Result<()> {
    let mut fixture = Fixture::start(envoy)?;
    let mut told = fixture.abandoned.take().context("nobody else listens")?;
    let abandoned = fixture.runtime.block_on(async {
        let mut client = fixture.client().await?;
        let mut request = Request::new("wait".to_owned());
        request.set_timeout(Duration::from_secs(2));
        let status = client.unary(request, method("Wait"), codec()).await.expect_err("nobody answers");
        assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
        let timeout = tokio::time::timeout(super::WAIT, told.recv());
        timeout.await.context("the server waits on")?.context("the server has gone")
    })?;
    assert_eq!(abandoned, "2000000u");
    Ok(())
}

/// A gRPC library shows the status of a denial and its reason, and not an answer that it cannot read.
fn a_denied_call_of_grpc_is_a_status_with_the_reason(envoy: &EnvoyBinary) -> Result<()> {
    let fixture = Fixture::start(envoy)?;
    let status = fixture.runtime.block_on(async {
        let mut client = fixture.client().await?;
        let path = PathAndQuery::from_static("/weir.test.Other/Unary");
        let denied = client.unary(Request::new(String::new()), path, codec()).await;
        anyhow::Ok(denied.expect_err("it is not allowed"))
    })?;
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let body: serde_json::Value = serde_json::from_str(status.message())?;
    assert_eq!(body["reason"], "path_not_allowed", "{status:?}");
    let decision = fixture.gateway.only_decision()?;
    assert_eq!((decision.effect.as_str(), decision.reason.as_str()), ("deny", "path_not_allowed"));
    assert_eq!(body["decision_id"].as_str(), decision.decision_id.as_deref());
    Ok(())
}

on_oldest_and_newest_envoy!(
    every_kind_of_grpc_call_goes_through,
    a_status_of_grpc_arrives_whole,
    a_deadline_of_grpc_reaches_the_server_and_so_does_its_end,
    a_denied_call_of_grpc_is_a_status_with_the_reason,
);
