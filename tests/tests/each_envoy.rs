//! One test for each Envoy, out of one function.

/// Makes a module per version with a test for each function named; the functions take `&EnvoyBinary`.
macro_rules! on_each_envoy {
    ($($name:ident),+ $(,)?) => {
        each_version!([$($name),+]
            envoy_1_36_4 = "1.36.4", envoy_1_38_2 = "1.38.2", envoy_1_39_3 = "1.39.3", envoy_1_40_0 = "1.40.0");
    };
}

/// The same for the oldest and the newest version alone: those that serve leaves in different ways.
macro_rules! on_oldest_and_newest_envoy {
    ($($name:ident),+ $(,)?) => {
        each_version!([$($name),+] envoy_1_36_4 = "1.36.4", envoy_1_40_0 = "1.40.0");
    };
}

/// The same for the newest version alone: for what is long, and does not depend on the version.
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
