//! The policy filter as an extension config: Weir's wasm module and the compiled policy.
//!
//! Inline bytes: Envoy never fetches remote code that comes as an update, and traffic passes unfiltered meanwhile
//! (measured on 1.36 to 1.40).

use envoy_types::pb::envoy::config::core::v3::async_data_source;
use envoy_types::pb::envoy::config::core::v3::{
    AsyncDataSource, DataSource, ExtensionConfigSource, TypedExtensionConfig, data_source,
};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::GenericSecret;
use envoy_types::pb::envoy::extensions::wasm::v3::{FailurePolicy, PluginConfig, VmConfig, plugin_config};
use envoy_types::util::pack_any;
use prost::Name;
use weir_xds::Resource;

use super::protobuf::ads;
use super::{Gateway, address_guard, names};
use crate::capabilities::{Capabilities, LeafDelivery};
use crate::proxy_credentials::AcceptedCredentials;

/// First bytes of the plugin configuration; the number is the version of its layout.
const MAGIC: &[u8; 8] = b"WEIRCFG1";
/// Flag: refuse a CONNECT to a host that no rule names, because there is no certificate to deny it with inside.
const JUDGE_CONNECT_HOST: u8 = 1;
/// Flag: a Rego policy follows the policy.
const WITH_REGO: u8 = 2;
/// Flag: the explicit proxy asks for credentials.
const WITH_CREDENTIALS: u8 = 4;

/// Where the filter is discovered from; denies everything until it has arrived.
pub(super) fn source() -> ExtensionConfigSource {
    ExtensionConfigSource {
        config_source: Some(ads()),
        default_config: Some(address_guard::deny_all(names::POLICY_MISSING)),
        apply_default_config_without_warming: true,
        type_urls: vec![Wasm::type_url(), Rbac::type_url()],
    }
}

pub(super) fn resource(gateway: &Gateway, capabilities: Capabilities) -> Resource {
    let filter = gateway.rego.as_ref().map_or(&gateway.filter, |rego| &rego.filter);
    let code = inline_bytes(filter.to_vec());
    // Envoy hands the message to the filter as its bytes, and its config dump does not show what is in it.
    let configuration = GenericSecret {
        secret: Some(inline_bytes(plugin_configuration(gateway, capabilities))),
        ..GenericSecret::default()
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
        configuration: Some(pack_any(configuration)),
        // A trap is answered with 503 and the VM made anew; never open.
        failure_policy: FailurePolicy::FailReload as i32,
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

/// `WEIRCFG1`, a byte of flags, the number of accepted credentials, two zero bytes, the length of the Rego policy, the
/// credentials' hashes, the policy, the Rego policy.
fn plugin_configuration(gateway: &Gateway, capabilities: Capabilities) -> Vec<u8> {
    let flags = match capabilities.leaf_delivery {
        LeafDelivery::OnDemand => 0,
        LeafDelivery::InAdvance => JUDGE_CONNECT_HOST,
    };
    let plan = gateway.rego.as_ref().map_or(&[][..], |rego| &rego.plan);
    let flags = if plan.is_empty() { flags } else { flags | WITH_REGO };
    let credentials = gateway.proxy_credentials.as_ref();
    let flags = if credentials.is_none() { flags } else { flags | WITH_CREDENTIALS };
    // A plan is bounded far below this; cut short it would be refused.
    let length = u32::try_from(plan.len()).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend([flags, credentials.map_or(0, AcceptedCredentials::count), 0, 0]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(credentials.iter().flat_map(|credentials| credentials.to_bytes()));
    bytes.extend(gateway.policy.as_bytes());
    bytes.extend(plan);
    bytes
}
