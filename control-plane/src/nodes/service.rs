//! The gRPC discovery service. It replaces one part of the generated service: delta requests have a decoder of their
//! own ([`decode_delta_request`](weir_xds::decode_delta_request)).

use std::convert::Infallible;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Body, BoxFuture, Context, Poll, Service, StdError, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use super::server::{DiscoveryServer, Responses};

const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Serves a [`DiscoveryServer`].
#[derive(Clone, Debug)]
pub(crate) struct DiscoveryService {
    server: DiscoveryServer,
    generated: AggregatedDiscoveryServiceServer<DiscoveryServer>,
}

impl DiscoveryService {
    /// Creates the service of a server.
    pub(crate) fn new(server: DiscoveryServer) -> Self {
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
        let request =
            weir_xds::decode_delta_request(buffer).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(request))
    }
}
