//! The gRPC service: the generated one, but for what it takes for a request of a delta stream.
//!
//! A secret is asked for by the server name of a client's handshake. Those are any bytes, and Envoy puts them into a
//! `string` of the request as they are. That is no proto3 then, and who reads it strictly ends the stream: Envoy asks for
//! the same again on the next one, and so a single handshake would cut it off from every change of the policy. Here names
//! are bytes. One that is no text is passed over: no answer could name it either, so its handshake runs into its timeout.

use std::collections::HashMap;
use std::convert::Infallible;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::rpc;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Body, BoxFuture, Context, Poll, Service, StdError, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use super::server::{DiscoveryServer, Responses};

const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Serves a [`DiscoveryServer`].
#[derive(Clone, Debug)]
pub struct DiscoveryService {
    server: DiscoveryServer,
    generated: AggregatedDiscoveryServiceServer<DiscoveryServer>,
}

impl DiscoveryService {
    /// Of this server.
    pub fn new(server: DiscoveryServer) -> Self {
        Self { generated: AggregatedDiscoveryServiceServer::new(server.clone()), server }
    }
}

impl NamedService for DiscoveryService {
    const NAME: &'static str = AggregatedDiscoveryServiceServer::<DiscoveryServer>::NAME;
}

impl<B> Service<http::Request<B>> for DiscoveryService
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != DELTA {
            return self.generated.call(request);
        }
        let method = DeltaMethod(self.server.clone());
        Box::pin(async move { Ok(Grpc::new(DeltaCodec).streaming(method, request).await) })
    }
}

struct DeltaMethod(DiscoveryServer);

impl StreamingService<DeltaDiscoveryRequest> for DeltaMethod {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = Responses<DeltaDiscoveryResponse>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { server.delta_aggregated_resources(request).await })
    }
}

struct DeltaCodec;

impl Codec for DeltaCodec {
    type Encode = DeltaDiscoveryResponse;
    type Decode = DeltaDiscoveryRequest;
    type Encoder = DeltaCodec;
    type Decoder = DeltaCodec;

    fn encoder(&mut self) -> Self::Encoder {
        DeltaCodec
    }

    fn decoder(&mut self) -> Self::Decoder {
        DeltaCodec
    }
}

impl Encoder for DeltaCodec {
    type Item = DeltaDiscoveryResponse;
    type Error = Status;

    fn encode(&mut self, response: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        response.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for DeltaCodec {
    type Item = DeltaDiscoveryRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let request = WireRequest::decode(buffer).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(request.into()))
    }
}

/// [`DeltaDiscoveryRequest`] as Envoy sends it. What Weir does not read of it is left out.
#[derive(Clone, PartialEq, Message)]
struct WireRequest {
    #[prost(message, optional, tag = "1")]
    node: Option<Node>,
    #[prost(string, tag = "2")]
    type_url: String,
    #[prost(bytes = "vec", repeated, tag = "3")]
    resource_names_subscribe: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    resource_names_unsubscribe: Vec<Vec<u8>>,
    /// What Envoy was given before, so that these are texts.
    #[prost(map = "string, string", tag = "5")]
    initial_resource_versions: HashMap<String, String>,
    #[prost(string, tag = "6")]
    response_nonce: String,
    #[prost(message, optional, tag = "7")]
    error_detail: Option<rpc::Status>,
}

impl From<WireRequest> for DeltaDiscoveryRequest {
    fn from(request: WireRequest) -> Self {
        let WireRequest {
            node,
            type_url,
            resource_names_subscribe,
            resource_names_unsubscribe,
            initial_resource_versions,
            response_nonce,
            error_detail,
        } = request;
        DeltaDiscoveryRequest {
            node,
            type_url,
            resource_names_subscribe: texts(resource_names_subscribe),
            resource_names_unsubscribe: texts(resource_names_unsubscribe),
            initial_resource_versions,
            response_nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        }
    }
}

fn texts(names: Vec<Vec<u8>>) -> Vec<String> {
    names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = DeltaDiscoveryRequest {
            node: Some(Node { id: "node".into(), ..Node::default() }),
            type_url: "type.googleapis.com/x".into(),
            resource_names_subscribe: vec!["a".into(), "b".into()],
            resource_names_unsubscribe: vec!["c".into()],
            initial_resource_versions: [("d".to_owned(), "1".to_owned())].into(),
            response_nonce: "2".into(),
            error_detail: Some(rpc::Status { code: 3, message: "no".into(), details: Vec::new() }),
            ..DeltaDiscoveryRequest::default()
        };
        let read = WireRequest::decode(request.encode_to_vec().as_slice()).unwrap();
        assert_eq!(DeltaDiscoveryRequest::from(read), request);
    }

    #[test]
    fn a_name_that_is_no_text_takes_no_other_with_it() {
        let request = WireRequest {
            type_url: "type.googleapis.com/x".into(),
            resource_names_subscribe: vec![b"a".to_vec(), b"x\xff".to_vec(), b"b".to_vec()],
            resource_names_unsubscribe: vec![b"\xff".to_vec()],
            ..WireRequest::default()
        };
        let bytes = request.encode_to_vec();
        assert!(DeltaDiscoveryRequest::decode(bytes.as_slice()).is_err(), "it is why this is here");
        let read = DeltaDiscoveryRequest::from(WireRequest::decode(bytes.as_slice()).unwrap());
        assert_eq!(read.resource_names_subscribe, ["a", "b"]);
        assert_eq!(read.resource_names_unsubscribe, [""; 0]);
    }
}
