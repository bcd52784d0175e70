//! Macros that make one test for each version of Envoy from one function.

/// Makes a module for each version, with a test for each named function. The functions take `&EnvoyBinary`.
macro_rules! on_each_envoy {
    ($($name:ident),+ $(,)?) => {
        each_version!([$($name),+]
            envoy_1_36_4 = "1.36.4", envoy_1_38_2 = "1.38.2", envoy_1_39_3 = "1.39.3", envoy_1_40_0 = "1.40.0");
    };
}

/// Makes tests for the oldest and the newest version, which get leaves in different ways.
macro_rules! on_oldest_and_newest_envoy {
    ($($name:ident),+ $(,)?) => {
        each_version!([$($name),+] envoy_1_36_4 = "1.36.4", envoy_1_40_0 = "1.40.0");
    };
}

/// Makes tests for the newest version, for long tests that do not depend on the version.
macro_rules! on_newest_envoy {
    ($($name:ident),+ $(,)?) => {
        each_version!([$($name),+] envoy_1_40_0 = "1.40.0");
    };
}

macro_rules! each_version {
    ($names:tt $($module:ident = $version:literal),+) => { $(each_version!(@module $names $module $version);)+ };
    (@module [$($name:ident),+] $module:ident $version:literal) => {
        mod $module {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name(&e2e::EnvoyBinary::version($version)?)
            })+
        }
    };
}
