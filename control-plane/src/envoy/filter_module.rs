//! The filter's two Wasm modules, which the build embeds into this program.

use std::borrow::Cow;

/// The filter without an engine for Rego.
const WITHOUT_REGO: &[u8] = include_bytes!(env!("WEIR_FILTER_WASM"));
/// The filter with an engine for Rego.
const WITH_REGO: &[u8] = include_bytes!(env!("WEIR_FILTER_REGO_WASM"));

/// The filter's modules, ready to be sent to Envoy.
#[derive(Debug, Clone)]
pub struct FilterModules {
    /// The filter for policies without Rego. Envoy compiles it in a fraction of the time.
    pub without_rego: Cow<'static, [u8]>,
    /// The filter for policies with a Rego policy.
    pub with_rego: Cow<'static, [u8]>,
}

/// An error for a build of `weir` without the filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "this `weir` was built without the Wasm filter\n  help: run `cargo xtask wasm`, then build `weir` again"
)]
pub struct NoFilterModules;

impl FilterModules {
    /// Returns the modules that the build embedded.
    ///
    /// # Errors
    /// When the build found no modules and embedded empty files.
    pub fn embedded() -> Result<Self, NoFilterModules> {
        Self::new(WITHOUT_REGO, WITH_REGO)
    }

    fn new(without_rego: &'static [u8], with_rego: &'static [u8]) -> Result<Self, NoFilterModules> {
        let complete = !without_rego.is_empty() && !with_rego.is_empty();
        let modules = Self { without_rego: without_rego.into(), with_rego: with_rego.into() };
        complete.then_some(modules).ok_or(NoFilterModules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_one_of_the_modules_serves_nothing() {
        for (without_rego, with_rego) in [("", ""), ("wasm", ""), ("", "wasm")] {
            let modules = FilterModules::new(without_rego.as_bytes(), with_rego.as_bytes());
            assert!(modules.unwrap_err().to_string().contains("cargo xtask wasm"));
        }
    }
}
