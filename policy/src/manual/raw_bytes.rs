//! Bytes that are not UTF-8, and control characters.
//!
//! A header value is bytes. Code that turns it into text panics, replaces or truncates, and each allows an attack: a
//! panic takes the filter down for every later client, a replacement makes two names equal, and a cut at NUL hides
//! the rest. The policy reads all input as bytes. It denies a host that is not ASCII and a method that is not a
//! token. A path may contain any byte from 0x80 on, which is compared unchanged, and control characters are denied.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{HONEST, path, plain, policy};
    use crate::{Reason, Request, Tunnel};

    #[test]
    fn no_byte_gets_into_a_host_that_does_not_belong_there() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: ['*.example'], schemes: [http]}]");
        for byte in 0..=u8::MAX {
            let authority = [b"allo", &[byte][..], b"wed.example"].concat();
            let belongs = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            let expected = if belongs { Reason::Allowed } else { Reason::InvalidHost };
            assert_eq!(plain(&policy, &authority), expected, "{byte:#04x}");
        }
    }

    #[test]
    fn every_byte_of_a_path_is_judged() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: ['/a/*']}]");
        for byte in 0x80..=u8::MAX {
            let inside = [&b"/a/"[..], &[byte]].concat();
            assert_eq!(path(&policy, &inside), Reason::Allowed, "{byte:#04x}");
            assert_eq!(
                path(&policy, [&b"/a"[..], &[byte], b"/"].concat()),
                Reason::PathNotAllowed,
                "{byte:#04x}"
            );
        }
        for byte in (0..=b' ').chain([0x7f]) {
            assert_eq!(path(&policy, [&b"/a/"[..], &[byte]].concat()), Reason::AmbiguousPath, "{byte:#04x}");
        }
    }

    #[test]
    fn raw_and_encoded_bytes_are_the_same_path() {
        let policy = policy("rules: [{id: a, effect: allow, hosts: [allowed.example], paths: [/café]}]");
        assert_eq!(path(&policy, "/caf\u{e9}"), Reason::Allowed);
        assert_eq!(path(&policy, "/caf%C3%A9"), Reason::Allowed);
        assert_eq!(path(&policy, b"/caf\xe9"), Reason::PathNotAllowed);
    }

    #[test]
    fn a_request_of_bad_bytes_leaves_the_next_one_alone() {
        let policy = policy("unrestricted_domains: [allowed.example]");
        let bad = Request {
            authority: b"\xff",
            method: b"\xff",
            path: b"\xff",
            server_name: Some(b"\xff"),
            tunnel: Some(b"\xff"),
            ..HONEST
        };
        for _ in 0..100 {
            assert_eq!(policy.decide(&bad).reason, Reason::InvalidHost);
            assert_eq!(
                policy.admit(&Tunnel { authority: b"\xff", judge_host: true }).reason,
                Reason::InvalidHost
            );
            assert_eq!(policy.decide(&HONEST).reason, Reason::Allowed);
        }
    }
}
