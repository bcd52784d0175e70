//! Letters that look alike, and the ASCII form of international names.
//!
//! On the wire a name is ASCII: `bücher.example` travels as `xn--bcher-kva.example`. The policy denies raw Unicode in
//! an authority and never maps it, because mappings (full-width letters, the Kelvin sign, ideographic full stops)
//! turn one name into another. In a document, the fault shows the A-label, so that its author recognises a Cyrillic
//! `е` in `ехample.com` by its `xn--…`. A label that starts with `xn--` must be the one that IDNA produces.

#[cfg(all(test, feature = "compile"))]
mod tests {
    use crate::Reason;
    use crate::manual::attack::{plain, policy};

    #[test]
    fn unicode_on_the_wire_is_no_host() {
        let policy = policy("unrestricted_domains: [example.com, kelvin.example]");
        for name in [
            "еxample.com",
            "ｅｘａｍｐｌｅ.com",
            "example。com",
            "\u{212a}elvin.example",
            "exam\u{ad}ple.com",
            "example.com\u{200b}",
            "bücher.example",
        ] {
            assert_eq!(plain(&policy, name), Reason::InvalidHost, "{name}");
        }
        assert_eq!(plain(&policy, "example.com"), Reason::Allowed);
    }

    #[test]
    fn a_look_alike_in_a_document_shows_its_a_label() {
        let faults = crate::compile("allowed_domains: [еxample.com]").expect_err("a fault");
        let message = faults.list.first().map(|fault| fault.message.clone()).unwrap_or_default();
        assert!(message.contains("xn--"), "{message}");
    }

    #[test]
    fn the_a_label_is_a_name_like_any_other() {
        let policy = policy("unrestricted_domains: [xn--bcher-kva.example]");
        assert_eq!(plain(&policy, "XN--Bcher-KVA.example"), Reason::Allowed);
        assert_eq!(plain(&policy, "xn--bcher-kvb.example"), Reason::HostNotAllowed);
        assert_eq!(plain(&policy, "bucher.example"), Reason::HostNotAllowed);
    }

    #[test]
    fn an_a_label_that_idna_would_not_make_is_refused_in_a_document() {
        for name in ["xn--a.example", "xn--example-.com", "xn--.example", "xn--ls8h=.example"] {
            assert!(crate::compile(&format!("allowed_domains: ['{name}']")).is_err(), "{name}");
        }
    }
}
