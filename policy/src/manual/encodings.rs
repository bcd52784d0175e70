//! One decoding is right, none and two are attacks.
//!
//! Rules compare decoded text, so that `/%61dmin` is `/admin`. An encoded slash is a separator for servers that decode
//! before they split and a character for those that split first; an encoded backslash or NUL is a slash or an end for
//! some. None of these is decoded into a meaning here: the path is refused. The same goes for what a server that decodes
//! twice would make of `%252e`, for overlong UTF-8 (`%c0%af`), and for a `%` that starts no escape (`%u002f`, `%2`).

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::manual::attack::{path, policy};
    use crate::{Policy, Reason};

    fn no_admin() -> Policy {
        policy(
            "unrestricted_domains: [allowed.example]\n\
             rules: [{id: admin, effect: deny, paths: ['/admin/*']}]",
        )
    }

    #[test]
    fn an_encoded_letter_is_the_letter() {
        let policy = no_admin();
        for denied in ["/%61dmin/x", "/%61%64%6D%69%6e/x", "/admi%6E/%78"] {
            assert_eq!(path(&policy, denied), Reason::DeniedByRule, "{denied}");
        }
    }

    #[test]
    fn encoded_separators_are_refused() {
        let policy = no_admin();
        for ambiguous in [
            "/x%2f..%2fadmin/x",
            "/x%2F../admin/x",
            "/admin%2fx",
            "/x%5c..%5cadmin",
            "/x\\..\\admin",
            "/admin%00/x",
            "/admin%0a/x",
            "/%2e%2e%2fadmin",
            "/x%5C",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
    }

    #[test]
    fn a_second_layer_of_encoding_is_refused() {
        let policy = no_admin();
        for ambiguous in [
            "/%252e%252e/admin/x",
            "/x%252fadmin",
            "/x%255cadmin",
            "/x%25%32%66admin",
            "/%25252e",
            "/x%2500",
            "/%253b",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
        for plain in ["/100%25", "/a%2541", "/50%25-off"] {
            assert_eq!(path(&policy, plain), Reason::Allowed, "{plain}");
        }
    }

    #[test]
    fn escapes_that_only_a_lax_decoder_knows_are_refused() {
        let policy = no_admin();
        for ambiguous in [
            "/x%c0%afadmin",
            "/%c0%ae%c0%ae/admin",
            "/%c1%9cadmin",
            "/%e0%80%af",
            "/%f0%80%80%af",
            "/x%u002fadmin",
            "/x%2",
            "/x%",
            "/x%zz",
            "/x%+2f",
        ] {
            assert_eq!(path(&policy, ambiguous), Reason::AmbiguousPath, "{ambiguous}");
        }
    }
}
