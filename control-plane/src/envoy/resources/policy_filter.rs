//! The policy filter as an extension config: Weir's Wasm module and the compiled policy.
//!
//! The module is inline, because Envoy never fetches remote code of an update, and forwards traffic unfiltered
//! meanwhile (measured on 1.36 to 1.40).

use envoy_types::pb::envoy::config::core::v3::async_data_source;
use envoy_types::pb::envoy::config::core::v3::{
    AsyncDataSource, DataSource, ExtensionConfigSource, TypedExtensionConfig, data_source,
};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::wasm::v3::{FailurePolicy, PluginConfig, VmConfig, plugin_config};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use prost::Name;
use weir_contract::configuration::PluginConfiguration;
use weir_contract::envelope;
use weir_xds::Resource;

use super::protobuf::{ads, bool_value};
use super::{Gateway, address_guard, names};
use crate::envoy::capabilities::{Capabilities, LeafDelivery};
use crate::input::proxy_credentials::AcceptedCredentials;

/// The discovery source of the filter. Every request is denied until the filter has arrived.
pub(super) fn source() -> ExtensionConfigSource {
    ExtensionConfigSource {
        config_source: Some(ads()),
        default_config: Some(address_guard::deny_all(names::POLICY_MISSING)),
        apply_default_config_without_warming: true,
        type_urls: vec![Wasm::type_url(), Rbac::type_url()],
    }
}

pub(super) fn resource(gateway: &Gateway, capabilities: Capabilities) -> Resource {
    let modules = &gateway.deployment.filter;
    let module = if gateway.policy.rego.is_some() { &modules.with_rego } else { &modules.without_rego };
    let code = inline_bytes(module.to_vec());
    let configuration = Any {
        type_url: envelope::TYPE_URL.to_owned(),
        value: envelope::seal(&plugin_configuration(gateway, capabilities)),
    };
    let vm = VmConfig {
        vm_id: "weir".to_owned(),
        runtime: "envoy.wasm.runtime.v8".to_owned(),
        code: Some(AsyncDataSource { specifier: Some(async_data_source::Specifier::Local(code)) }),
        ..VmConfig::default()
    };
    let plugin = PluginConfig {
        name: names::POLICY_FILTER.to_owned(),
        root_id: "weir".to_owned(),
        configuration: Some(configuration),
        // After a trap, Envoy answers 503 and starts a new VM. It never forwards the request.
        failure_policy: FailurePolicy::FailReload as i32,
        // The filter receives the content of a request that it denies, and drops it.
        allow_on_headers_stop_iteration: bool_value(true),
        vm: Some(plugin_config::Vm::VmConfig(vm)),
        ..PluginConfig::default()
    };
    let config = TypedExtensionConfig {
        name: names::POLICY_FILTER.to_owned(),
        typed_config: Some(pack_any(Wasm { config: Some(plugin) })),
    };
    Resource::new(names::POLICY_FILTER, &config)
}

fn inline_bytes(bytes: Vec<u8>) -> DataSource {
    DataSource { specifier: Some(data_source::Specifier::InlineBytes(bytes)), ..DataSource::default() }
}

/// Encodes the filter's configuration for nodes with these capabilities.
fn plugin_configuration(gateway: &Gateway, capabilities: Capabilities) -> Vec<u8> {
    let credentials = gateway.node.proxy_credentials.as_ref().map(AcceptedCredentials::to_bytes);
    PluginConfiguration {
        judge_connect_host: capabilities.leaf_delivery == LeafDelivery::InAdvance,
        separate_pools: gateway.node.capacity.separate_pools,
        credentials: credentials.as_deref(),
        policy: gateway.policy.rules.as_bytes(),
        rego: gateway.policy.rego.as_deref(),
    }
    .encode()
}
