//! Hosts in a document. A host must be written in its canonical form; otherwise the fault states that form.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::Ipv6Addr;

use super::fields::{list, text};
use super::node::{Node, Spanned};
use crate::fault::{At, Collector};
use crate::host::{Host, InvalidHost};
use crate::resolved_rule::ResolvedHost;

/// The kinds of hosts that a list accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Names and addresses.
    Exact,
    /// Names, addresses and wildcards such as `*.example.com`.
    ExactAndBelow,
}

/// Reads a list of hosts, and reports and drops faulty ones.
pub(super) fn hosts<'s>(
    node: &Node<'s>,
    at: &At<'_>,
    kinds: Kinds,
    faults: &mut Collector,
) -> Vec<Spanned<ResolvedHost<'s>>> {
    let items = list(node, at, faults).unwrap_or_default();
    let mut hosts: Vec<Spanned<ResolvedHost<'s>>> = Vec::with_capacity(items.len());
    let mut seen: HashMap<Cow<'s, str>, usize> = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let here = At::Index(at, index);
        let Some(written) = text(item, &here, faults) else { continue };
        if let Some(first) = seen.get(&written.value) {
            let message = format!("`{}` is already listed, as `{}`", written.value, At::Index(at, *first));
            faults.report(written.span, &here, message, Some("remove one of them".to_owned()));
            continue;
        }
        seen.insert(written.value.clone(), index);
        match pattern(&written.value, Host::parse) {
            Ok(value) if value.below && kinds == Kinds::Exact => {
                let message = format!("`{}` is a pattern, and this key takes exact hosts", written.value);
                let help = "write a rule with `hosts` for everything below a name".to_owned();
                faults.report(written.span, &here, message, Some(help));
            }
            Ok(value) => hosts.push(Spanned { value, span: written.span }),
            Err((message, help)) => faults.report(written.span, &here, message, help),
        }
    }
    hosts
}

/// Warns about wildcards over public suffixes, below which different owners register names.
pub(super) fn warn_of_public_suffixes(
    hosts: &[Spanned<ResolvedHost<'_>>],
    at: &At<'_>,
    faults: &mut Collector,
) {
    for (index, Spanned { value: host, span }) in hosts.iter().enumerate() {
        let name = &host.name;
        if host.below && faults.is_public_suffix(name) {
            let message =
                format!("`{host}` matches names of many owners: anybody can get one below `{name}`");
            let help =
                format!("list the names that the workload needs, or write `*.NAME.{name}` for one owner");
            faults.warn(span.clone(), &At::Index(at, index), message, help);
        }
    }
}

/// Reads the exact host of an upstream: a name, also with `_`, or an address.
pub(super) fn of_upstream<'s>(node: &Node<'s>, at: &At<'_>, faults: &mut Collector) -> Option<Cow<'s, str>> {
    let written = text(node, at, faults)?;
    let (message, help) = match pattern(&written.value, Host::parse_upstream) {
        Ok(host) if !host.below => return Some(host.name),
        Ok(host) => {
            let help = format!("write one name, as `{}`", host.name);
            (format!("`{}` is a pattern, and this is one host", written.value), Some(help))
        }
        Err(fault) => fault,
    };
    faults.report(written.span, at, message, help);
    None
}

/// Reads the exact name of an upstream; an address is a fault.
pub(super) fn name_of_upstream<'s>(
    node: &Node<'s>,
    at: &At<'_>,
    faults: &mut Collector,
) -> Option<Cow<'s, str>> {
    let host = of_upstream(node, at, faults)?;
    if is_address(&host) {
        let help = "write a name that the certificate carries".to_owned();
        faults.report(node.span.clone(), at, format!("`{host}` is an address, not a name"), Some(help));
        return None;
    }
    Some(host)
}

/// Returns whether a canonical host is an address.
pub(super) fn is_address(host: &str) -> bool {
    Host::parse(host.as_bytes()).is_ok_and(|host| host.is_address())
}

type Fault = (String, Option<String>);

type Parse = fn(&[u8]) -> Result<Host, InvalidHost>;

fn pattern<'s>(written: &Cow<'s, str>, parse: Parse) -> Result<ResolvedHost<'s>, Fault> {
    let (below, name) = match written.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, written.as_ref()),
    };
    let star = if below { "*." } else { "" };
    let canonical = canonical(name, parse).map_err(|fault| explain(written, star, name, fault))?;
    if canonical != name {
        let message = format!("`{written}` is not in canonical form, which is `{star}{canonical}`");
        return Err((message, Some(format!("write `{star}{canonical}`"))));
    }
    if below && is_address(name) {
        return Err((
            format!("`{written}`: there is nothing below an address"),
            Some(format!("write `{name}`")),
        ));
    }
    let name = match written {
        Cow::Borrowed(written) => Cow::Borrowed(written.strip_prefix("*.").unwrap_or(written)),
        Cow::Owned(_) => Cow::Owned(canonical),
    };
    Ok(ResolvedHost { name, below })
}

/// Returns the canonical text of a name, and applies IDNA if necessary.
fn canonical(name: &str, parse: Parse) -> Result<String, InvalidHost> {
    let international = !name.is_ascii() || name.split('.').any(has_ace_prefix);
    if !international {
        return parse(name.as_bytes()).map(|host| host.as_str().to_owned());
    }
    let mapped = idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::EMPTY);
    let mapped = mapped.map_err(|_| InvalidHost::NotAscii)?;
    parse(mapped.as_bytes()).map(|host| host.as_str().to_owned())
}

fn has_ace_prefix(label: &str) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

/// Composes a fault's message and its help, which suggests the probable intention.
fn explain(written: &str, star: &str, name: &str, fault: InvalidHost) -> Fault {
    let host_of = |text: &str| canonical(text, Host::parse).ok();
    if let Some((_, rest)) = name.split_once("://") {
        let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
        let help = host_of(host).map(|host| format!("write the host alone: `{star}{host}`"));
        return (format!("`{written}` is a URL, not a host"), help);
    }
    if let Some((host, _)) = name.split_once('/') {
        let help =
            host_of(host).map(|host| format!("write `{star}{host}`, and the path in `paths` of the rule"));
        return (format!("`{written}` is a host with a path"), help);
    }
    if written == "*" {
        let help = "list the hosts: a policy that allows every host restricts nothing";
        return ("`*` would match every host".to_owned(), Some(help.to_owned()));
    }
    if name.contains('*') {
        let help =
            "a `*` stands for whole labels at the start: `*.example.com` is every name below `example.com`";
        return (format!("`{written}` has a `*` that is not its first label"), Some(help.to_owned()));
    }
    if let Some(rest) = name.strip_prefix('.').and_then(host_of) {
        let help = format!("write `*.{rest}` for the names below it, or `{rest}` for the name itself");
        return (format!("`{written}` starts with a dot"), Some(help));
    }
    if let Ok(address) = name.parse::<Ipv6Addr>() {
        return (
            format!("`{written}` is an IPv6 address without brackets"),
            Some(format!("write `[{address}]`")),
        );
    }
    if let Some((host, port)) = name.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        let help =
            host_of(host).map(|host| format!("write `{star}{host}`, and the port in `ports` of the rule"));
        return (format!("`{written}` is a host with a port"), help);
    }
    if fault == InvalidHost::Underscore {
        let help = "use a name without `_`, and lead it to the server: `upstream: {host: …}` of a rule may have a `_`";
        let message = format!(
            "`{written}` has a `_`, and Envoy answers 400 to every client of the proxy that names such a host"
        );
        return (message, Some(help.to_owned()));
    }
    if fault == InvalidHost::NotAscii {
        return (format!("`{written}` has a label that IDNA does not allow"), None);
    }
    (format!("`{written}` is not a host: {fault}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str) -> Result<(String, bool), String> {
        pattern(&Cow::Borrowed(written), Host::parse)
            .map(|host| (host.name.into_owned(), host.below))
            .map_err(|(message, help)| format!("{message} | {}", help.unwrap_or_default()))
    }

    #[test]
    fn canonical_hosts_are_taken_as_they_are() {
        for host in
            ["example.com", "-a-.example", "192.0.2.1", "[2001:db8::1]", "xn--bcher-kva.example", "localhost"]
        {
            assert_eq!(read(host), Ok((host.to_owned(), false)));
        }
        assert_eq!(read("*.example.com"), Ok(("example.com".to_owned(), true)));
    }

    #[test]
    fn only_an_upstream_may_have_an_underscore() {
        let upstream = |written| pattern(&Cow::Borrowed(written), Host::parse_upstream);
        assert!(upstream("my_service").is_ok_and(|host| host.name == "my_service"));
        assert!(upstream("My_Service").is_err_and(|(message, _)| message.contains("`my_service`")));
        assert!(read("my_service").is_err_and(|fault| fault.contains("upstream")));
    }

    #[test]
    fn the_canonical_form_is_named() {
        for (written, canonical) in [
            ("API.Example.com", "`api.example.com`"),
            ("example.com.", "`example.com`"),
            ("bücher.example", "`xn--bcher-kva.example`"),
            ("*.Bücher.example", "`*.xn--bcher-kva.example`"),
            ("XN--BCHER-KVA.example", "`xn--bcher-kva.example`"),
            ("[2001:DB8::0:1]", "`[2001:db8::1]`"),
            ("2001:db8::1", "`[2001:db8::1]`"),
            ("https://example.com/a", "`example.com`"),
            ("https://bücher.example/a", "`xn--bcher-kva.example`"),
            ("bücher.example:443", "`xn--bcher-kva.example`"),
            ("example.com/a", "`example.com`"),
            ("example.com:8443", "`example.com`"),
            (".example.com", "`*.example.com`"),
        ] {
            let Err(fault) = read(written) else { panic!("{written} was accepted") };
            assert!(fault.contains(canonical), "{written}: {fault}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for written in [
            "*",
            "*.",
            "",
            ".",
            "a..b",
            "foo*.example.com",
            "a.*.example.com",
            "*.*.example.com",
            "user@example.com",
            "exa mple.com",
            "127.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "*.192.0.2.1",
            "[::1",
            "xn--a.example",
            "example.com:",
            "a,b.example",
            "a_b.example",
            "*._tcp.example",
            "example.com\0",
        ] {
            assert!(read(written).is_err(), "{written}");
        }
    }
}
