//! Laws of the canonical forms.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::path::readings::Readings;
use crate::{Authority, Host, Path};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_host_is_its_own_canonical_form(raw in "[A-Za-z0-9_.\\[\\]:-]{1,40}") {
        if let Ok(host) = Host::parse(raw.as_bytes()) {
            prop_assert_eq!(Host::parse(host.as_bytes()), Ok(host));
            prop_assert!(!host.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
            prop_assert!(!host.as_str().ends_with('.'));
        }
    }

    #[test]
    fn spelling_does_not_change_a_host(raw in "[a-z0-9_-]{1,10}(\\.[a-z0-9_-]{1,10}){0,4}") {
        let upper = format!("{}.", raw.to_ascii_uppercase());
        if let Ok(host) = Host::parse(raw.as_bytes()) && !host.is_address() {
            prop_assert_eq!(Host::parse(upper.as_bytes()), Ok(host));
        }
    }

    #[test]
    fn a_canonical_authority_is_its_own_canonical_form(raw in "[A-Za-z0-9.-]{1,20}(:[0-9]{0,6})?") {
        if let Ok(authority) = Authority::parse(raw.as_bytes(), 443) {
            prop_assert_eq!(Authority::parse_with_port(authority.to_string().as_bytes()), Ok(authority));
        }
    }

    #[test]
    fn any_address_is_an_address_in_one_text(address: std::net::IpAddr) {
        let text = match address {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let host = Host::parse(text.as_bytes());
        prop_assert_eq!(host.map(|host| (host.as_str().to_owned(), host.is_address())), Ok((text, true)));
    }

    #[test]
    fn a_canonical_path_is_its_own_canonical_form(
        raw in prop_oneof!["/([a-c%./;?]|%2[0-9ef]|%5c|%c[03]%a[f9]|//|\\.\\./){0,12}".prop_map(String::into_bytes), vec(any::<u8>(), 0..30)]
    ) {
        if let Ok(path) = Path::parse(&raw) {
            let text = path.to_string();
            prop_assert_eq!(Path::parse(text.as_bytes()).map(|again| again.as_bytes().to_vec()), Ok(path.as_bytes().to_vec()));
        }
    }

    #[test]
    fn the_canonical_path_is_the_only_reading_or_one_of_several(
        raw in prop_oneof!["/([ab./;]|%2[0359ef]|%3[bf]|%5c|%61|61|;x|/;|//|\\.\\./){0,12}".prop_map(String::into_bytes), vec(any::<u8>(), 0..30)]
    ) {
        let path = match Path::parse(&raw) {
            Ok(path) => Some(path),
            Err(error) if error.is_undecided() => None,
            Err(_) => return Ok(()),
        };
        let every = Readings::every(&raw);
        prop_assert!(every.list().iter().all(|reading| reading.starts_with(b"/")));
        if let Some(path) = &path {
            prop_assert_eq!(every.canonical(), Some(path.as_bytes()));
            prop_assert!(every.list().iter().any(|reading| reading == path.as_bytes()));
        }
        match Readings::several(path.as_ref(), &raw) {
            Some(several) => prop_assert_eq!(several, every),
            None => prop_assert_eq!(every.list().len(), 1),
        }
    }

    #[test]
    fn a_canonical_path_has_nothing_left_to_resolve(raw in "/([ab./]|%2e|%61|//){0,12}") {
        if let Ok(path) = Path::parse(raw.as_bytes()) {
            let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
            prop_assert!(text.starts_with('/') && !text.contains("//"), "{}", text);
            prop_assert!(!text.split('/').any(|segment| segment == "." || segment == ".."), "{}", text);
        }
    }
}
