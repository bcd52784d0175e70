//! The rules that the AWS keys of the data document become.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::allow_rule::{allow_https, exact};
use crate::document::AwsKeys;
use crate::path::pattern::PatternKind;
use crate::resolved_rule::ResolvedRule;

/// The regions whose endpoints are below `amazonaws.com`: those of the partitions `aws` and `aws-us-gov` in botocore's
/// `partitions.json`. They are listed rather than matched by a pattern, because customers choose other names below and
/// beside `SERVICE.amazonaws.com`, such as those of buckets. A newer region needs a rule of its own.
const REGIONS: [&str; 36] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// The rules for any method over https to `SERVICE.amazonaws.com` and `SERVICE.REGION.amazonaws.com`. For S3 they cover
/// only the path `/`, because the first segment of any other path is a bucket, which may belong to anybody.
pub(super) fn rules<'s>(keys: AwsKeys<'s>) -> impl Iterator<Item = ResolvedRule<'s>> {
    let AwsKeys { access_enabled, allowed_services } = keys;
    let listed = allowed_services.into_iter().filter(|_| access_enabled);
    let (storage, others): (Vec<_>, Vec<_>) = listed.partition(|service| names_buckets_in_paths(service));
    let root = BTreeSet::from([("/".to_owned(), PatternKind::default())]);
    let others = rule("aws_allowed_services", &others);
    let storage = rule("aws_allowed_services/s3", &storage).map(|rule| ResolvedRule { paths: root, ..rule });
    others.into_iter().chain(storage)
}

fn rule<'s>(id: &'static str, services: &[Cow<'s, str>]) -> Option<ResolvedRule<'s>> {
    let hosts = services.iter().flat_map(|service| {
        let regional = REGIONS.iter().map(move |region| format!("{service}.{region}.amazonaws.com"));
        core::iter::once(format!("{service}.amazonaws.com")).chain(regional)
    });
    (!services.is_empty()).then(|| allow_https(id, hosts.map(exact).collect(), BTreeSet::new()))
}

/// Returns whether a service is S3, under any of its names: `s3`, `s3-fips`, `s3.dualstack`, `s3-eu-west-1`, `s3express-control`.
fn names_buckets_in_paths(service: &str) -> bool {
    service.split('.').any(|label| label.starts_with("s3"))
}

#[cfg(test)]
mod tests {
    use crate::{Reason, Target};

    #[test]
    fn a_service_is_its_name_and_its_regional_names_and_no_customers() {
        let policy = crate::compile("aws_access_enabled: true\naws_allowed_services: [sqs, s3, api.ecr]");
        let policy = policy.unwrap_or_else(|faults| panic!("{faults}"));
        let reason = |url: &str| policy.decide(&Target::parse(url).expect("a URL").request("PUT")).reason;
        for host in ["sqs", "sqs.eu-west-1", "sqs.us-gov-west-1", "api.ecr.us-east-1"] {
            assert_eq!(reason(&format!("https://{host}.amazonaws.com/x%2fy")), Reason::Allowed, "{host}");
        }
        for host in ["sns", "my-bucket.s3", "my-bucket.s3.eu-west-1", "s3.eu-west-9", "ecr", "xs3"] {
            assert_eq!(reason(&format!("https://{host}.amazonaws.com/")), Reason::HostNotAllowed, "{host}");
        }
        assert_eq!(reason("http://s3.amazonaws.com/"), Reason::SchemeNotAllowed);
        assert_eq!(reason("https://s3.amazonaws.com.attacker.example/"), Reason::HostNotAllowed);
    }

    #[test]
    fn the_service_of_buckets_opens_no_bucket() {
        for service in ["s3", "s3-fips", "s3.dualstack", "s3-eu-west-1"] {
            let source = format!("aws_access_enabled: true\naws_allowed_services: [sts, {service}]");
            let policy = crate::compile(&source).unwrap_or_else(|faults| panic!("{faults}"));
            let reason = |path: &str| {
                let url = format!("https://{service}.eu-west-1.amazonaws.com{path}");
                policy.decide(&Target::parse(&url).expect("a URL").request("PUT")).reason
            };
            assert_eq!(
                (reason("/"), reason("/?max-buckets=1")),
                (Reason::Allowed, Reason::Allowed),
                "{service}"
            );
            for path in ["/bucket", "/bucket/key", "/%62ucket/", "/x/../bucket/key"] {
                assert_eq!(reason(path), Reason::PathNotAllowed, "{service}{path}");
            }
            for path in ["//", "//bucket/key", "/?/bucket", "/;/bucket", "/%2fbucket"] {
                let denied = reason(path) != Reason::Allowed;
                assert_eq!(denied, path != "/?/bucket", "{service}{path}");
            }
        }
    }

    #[test]
    fn services_without_access_allow_nothing() {
        for source in ["aws_access_enabled: false\naws_allowed_services: [s3]", "aws_allowed_services: [s3]"]
        {
            assert_eq!(crate::compile(source).map(|policy| policy.rules().count()).ok(), Some(0), "{source}");
        }
    }
}
