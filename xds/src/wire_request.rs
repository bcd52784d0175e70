//! A decoder for requests of a delta stream, in the form that Envoy writes.
//!
//! Envoy requests a secret by the server name of a client's handshake. A server name may be any bytes, and Envoy
//! copies it unchanged into a `string` field of the request. A strict protobuf decoder rejects such a message and
//! ends the stream. Envoy then repeats the request on the next stream, so that one handshake would cut it off from
//! every policy change. This decoder reads names as bytes, and skips a name that is not UTF-8. No response could
//! carry it either, and its handshake runs into Envoy's timeout.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::rpc;
use prost::bytes::Buf;
use prost::{DecodeError, Message};

/// Decodes one request of a delta stream.
///
/// # Errors
/// When the bytes are not such a message.
pub fn decode_delta_request(bytes: impl Buf) -> Result<DeltaDiscoveryRequest, DecodeError> {
    WireRequest::decode(bytes).map(DeltaDiscoveryRequest::from)
}

/// [`DeltaDiscoveryRequest`] as Envoy sends it, without the fields that Weir does not read.
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
    /// Versions that the control plane sent earlier, so they are valid text.
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
