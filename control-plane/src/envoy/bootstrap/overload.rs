//! Envoy's overload manager: the work that Envoy refuses first when its heap grows or its clients are too many.
//!
//! ```text
//!  heap  70 %  resets the streams that hold most, and closes idle connections sooner; the more, the nearer to 90 %
//!        80 %  gives free memory back to the system
//!        92 %  answers new requests with a 503, `overloaded`
//!        97 %  closes new connections
//! ```

use serde_json::{Value, json};

use crate::envoy::capacity::Capacity;

/// The interval at which Envoy looks at its heap.
const REFRESH_INTERVAL: &str = "0.25s";
/// The exponent of the smallest stream that Envoy may reset: 2^17 bytes (128 KiB). It never resets a smaller one.
const SMALLEST_STREAM: u32 = 17;
const HEAP: &str = "envoy.resource_monitors.fixed_heap";

pub(super) fn manager(capacity: Capacity) -> Value {
    let saturated = |value: f64| json!([{ "name": HEAP, "threshold": { "value": value } }]);
    let growing =
        json!([{ "name": HEAP, "scaled": { "scaling_threshold": 0.7, "saturation_threshold": 0.9 } }]);
    json!({
        "refresh_interval": REFRESH_INTERVAL,
        "buffer_factory_config": { "minimum_account_to_track_power_of_two": SMALLEST_STREAM },
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": capacity.connections
                }
            },
            {
                "name": HEAP,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": capacity.heap
                }
            }
        ],
        "actions": [
            { "name": "envoy.overload_actions.reset_high_memory_stream", "triggers": growing },
            {
                "name": "envoy.overload_actions.reduce_timeouts",
                "triggers": growing,
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig",
                    "timer_scale_factors": [{ "timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": "2s" }]
                }
            },
            { "name": "envoy.overload_actions.shrink_heap", "triggers": saturated(0.8) },
            { "name": "envoy.overload_actions.stop_accepting_requests", "triggers": saturated(0.92) },
            { "name": "envoy.overload_actions.reject_incoming_connections", "triggers": saturated(0.97) }
        ]
    })
}
