//! Short constructors for the wrapper types of Envoy's messages.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, CidrRange, ConfigSource, DataSource, SocketAddress,
    TransportSocket, TypedExtensionConfig, address, data_source, socket_address, transport_socket,
};
use envoy_types::pb::google::protobuf::{BoolValue, Duration, UInt32Value, UInt64Value};
use envoy_types::util::pack_any;
use ipnet::IpNet;
use prost::{Message, Name};

pub(super) fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub(super) fn duration(duration: std::time::Duration) -> Option<Duration> {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Some(Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0) })
}

pub(super) fn bool_value(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

pub(super) fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub(super) fn long_number(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

pub(super) fn extension<M: Message + Name>(name: &str, config: M) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack_any(config)) }
}

pub(super) fn transport_socket<M: Message + Name>(name: &str, config: M) -> TransportSocket {
    let config_type = Some(transport_socket::ConfigType::TypedConfig(pack_any(config)));
    TransportSocket { name: name.to_owned(), config_type }
}

/// Returns the config source of every resource: the one ADS stream.
pub(super) fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3 as i32,
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

pub(super) fn socket_address(address: SocketAddr) -> Address {
    let socket = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(address.port()))),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

pub(super) fn cidr(network: IpNet) -> CidrRange {
    CidrRange {
        address_prefix: network.addr().to_string(),
        prefix_len: number(u32::from(network.prefix_len())),
    }
}

pub(super) fn inline_string(text: impl Into<String>) -> DataSource {
    DataSource { specifier: Some(data_source::Specifier::InlineString(text.into())), ..DataSource::default() }
}
