//! One test for each Envoy, out of one function.

/// Makes a module per version with a test for each function named; the functions take `&EnvoyBinary`.
macro_rules! on_each_envoy {
    ($($name:ident),+ $(,)?) => {
        on_each_envoy!(@versions [$($name),+]
            envoy_1_36_2 = "1.36.2", envoy_1_38_2 = "1.38.2", envoy_1_39_3 = "1.39.3", envoy_1_40_0 = "1.40.0");
    };
    (@versions $names:tt $($module:ident = $version:literal),+) => {
        $(on_each_envoy!(@module $names $module $version);)+
    };
    (@module [$($name:ident),+] $module:ident $version:literal) => {
        mod $module {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name(&e2e::EnvoyBinary::version($version)?)
            })+
        }
    };
}
