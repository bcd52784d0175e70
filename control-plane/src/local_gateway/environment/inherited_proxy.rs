//! A proxy that the environment of `weir` itself names. Envoy ignores that proxy and connects to hosts directly, so
//! Weir warns: some networks allow connections only through their proxy.

use std::ffi::OsString;
use std::fmt;

use crate::output::report::printable;

const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];

/// The variable that names a proxy, and the proxy without its credentials.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InheritedProxy {
    variable: &'static str,
    address: String,
}

impl InheritedProxy {
    /// The help of the warning about an inherited proxy.
    pub(crate) const HELP: &str =
        "unset the variable if hosts can be reached directly; weir cannot yet connect through another proxy";

    /// Finds the proxy that the environment names.
    pub(crate) fn find(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        VARIABLES.into_iter().find_map(|name| {
            let url = value(name)?.to_string_lossy().into_owned();
            let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
            let address = printable(address.split('/').next().unwrap_or_default());
            Some(Self { variable: name, address })
        })
    }
}

impl fmt::Display for InheritedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, address } = self;
        write!(
            formatter,
            "{variable} names the proxy `{address}`, and weir does not use it: Envoy connects to hosts directly"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, value: &str) -> Option<(&'static str, String)> {
        let proxy = InheritedProxy::find(|asked| (asked == name).then(|| value.into()))?;
        Some((proxy.variable, proxy.address))
    }

    #[test]
    fn a_proxy_is_named_without_its_credentials() {
        for (value, address) in [
            ("http://proxy.example:3128", "proxy.example:3128"),
            ("http://user:se@cret@proxy.example:3128/", "proxy.example:3128"),
            ("proxy.example:3128", "proxy.example:3128"),
            ("user:secret@[::1]:3128", "[::1]:3128"),
        ] {
            assert_eq!(found("https_proxy", value), Some(("https_proxy", address.to_owned())), "{value}");
        }
        assert_eq!(found("HTTPS_PROXY", ""), None);
        assert_eq!(found("NO_PROXY", "localhost"), None);
    }
}
