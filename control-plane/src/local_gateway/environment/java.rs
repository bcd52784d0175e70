//! Options for Java, which reads neither proxy variables nor PEM files. It reads system properties, and takes them
//! from `JAVA_TOOL_OPTIONS`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

/// The value of `JAVA_TOOL_OPTIONS`. The virtual machine takes the last of two equal options, so the inherited
/// options come first. Every virtual machine (from Java 5) reports on stderr that it picked the options up.
pub(super) fn options(proxy: SocketAddr, truststore: &Path, inherited: Option<OsString>) -> OsString {
    let (host, port) = (proxy.ip(), proxy.port());
    let mut options = inherited.unwrap_or_default();
    if !options.is_empty() {
        options.push(" ");
    }
    for scheme in ["http", "https"] {
        options.push(format!("-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port} "));
    }
    // One list serves both schemes. No shell reads this value, so the bars need no quotes.
    options.push("-Dhttp.nonProxyHosts=localhost|127.*|[::1] ");
    options.push("-Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStore=");
    options.push(quoted(truststore));
    options
}

/// Quotes a path for the virtual machine's option parser: white space ends a word, and each kind of quote may hold
/// any character but itself.
fn quoted(path: &Path) -> OsString {
    let special = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    if !path.as_os_str().as_encoded_bytes().iter().any(special) {
        return path.as_os_str().to_owned();
    }
    let mut quoted = OsString::from("\"");
    for (count, part) in split_at_double_quotes(path).into_iter().enumerate() {
        if count > 0 {
            quoted.push(r#""'"'""#);
        }
        quoted.push(part);
    }
    quoted.push("\"");
    quoted
}

fn split_at_double_quotes(path: &Path) -> Vec<OsString> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path.as_os_str().as_bytes();
    bytes.split(|byte| *byte == b'"').map(|part| OsString::from_vec(part.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherited_options_come_first_so_that_ours_win() {
        let options = options("127.0.0.1:8080".parse().unwrap(), Path::new("/t.jks"), Some("-Xmx1g".into()));
        assert_eq!(
            options,
            "-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=8080 -Dhttps.proxyHost=127.0.0.1 \
             -Dhttps.proxyPort=8080 -Dhttp.nonProxyHosts=localhost|127.*|[::1] \
             -Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStore=/t.jks"
        );
    }

    #[test]
    fn white_space_and_quotes_in_the_path_stay_in_one_word() {
        assert_eq!(quoted(Path::new("/a b")), r#""/a b""#);
        assert_eq!(quoted(Path::new(r#"/it's "it""#)), r#""/it's "'"'"it"'"'"""#);
    }
}
