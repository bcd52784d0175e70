//! The data document's keys for GitHub and AWS.

use std::borrow::Cow;
use std::collections::HashSet;

use super::fields::{Fields, choice_of_truth, list, text};
use super::node::Node;
use crate::fault::{At, Collector};
use crate::limits;

/// Read and write access to GitHub.
#[derive(Debug, Default)]
pub(crate) struct GithubKeys<'s> {
    /// Whether GET, HEAD and git fetches are allowed everywhere.
    pub(crate) read_access_enabled: bool,
    /// The repositories that may be written to, as `owner/name`.
    pub(crate) allowed_repos: Vec<Cow<'s, str>>,
    /// The users below whose `/users/` paths writes are allowed.
    pub(crate) allowed_users: Vec<Cow<'s, str>>,
}

/// The AWS services that may be used.
#[derive(Debug, Default)]
pub(crate) struct AwsKeys<'s> {
    /// Whether any service may be used.
    pub(crate) access_enabled: bool,
    /// The labels before `.amazonaws.com`, or before the region in the name.
    pub(crate) allowed_services: Vec<Cow<'s, str>>,
}

impl<'s> GithubKeys<'s> {
    pub(super) fn read(fields: &Fields<'_, 's>, at: &At<'_>, faults: &mut Collector) -> GithubKeys<'s> {
        GithubKeys {
            read_access_enabled: truth(fields, "github_read_access_enabled", at, faults),
            allowed_repos: names(fields, "github_allowed_repos", at, repository, faults),
            allowed_users: names(fields, "github_allowed_users", at, user, faults),
        }
    }
}

impl<'s> AwsKeys<'s> {
    pub(super) fn read(fields: &Fields<'_, 's>, at: &At<'_>, faults: &mut Collector) -> AwsKeys<'s> {
        AwsKeys {
            access_enabled: truth(fields, "aws_access_enabled", at, faults),
            allowed_services: names(fields, "aws_allowed_services", at, service, faults),
        }
    }
}

/// The services whose names contain a dot, sorted: the endpoints of the partitions `aws` and `aws-us-gov` in
/// botocore's `endpoints.json`, and the endpoint prefixes of its service models. They are listed rather than matched
/// by a pattern, because any other name with a dot may belong to a customer: a bucket, an API or a machine.
const SERVICES_WITH_DOTS: [&str; 58] = [
    "a2i-runtime.sagemaker",
    "admin.wickr",
    "api-fips.sagemaker",
    "api.detective",
    "api.detective-fips",
    "api.ecr",
    "api.ecr-public",
    "api.iotdeviceadvisor",
    "api.iotmanagedintegrations",
    "api.iottwinmaker",
    "api.iottwinmaker-fips",
    "api.iotwireless",
    "api.mediatailor",
    "api.pricing",
    "api.sagemaker",
    "api.tunneling.iot",
    "api.tunneling.iot-fips",
    "catalog.marketplace",
    "controlplane.payment-cryptography",
    "data-ats.iot",
    "data.iot",
    "data.iot-fips",
    "data.iotevents",
    "data.iotevents-fips",
    "data.iottwinmaker",
    "data.iottwinmaker-fips",
    "data.jobs.iot",
    "data.jobs.iot-fips",
    "data.mediastore",
    "data.qapps",
    "dataplane.payment-cryptography",
    "edge.sagemaker",
    "entitlement.marketplace",
    "featurestore-runtime.sagemaker",
    "fips.batch",
    "fips.eks",
    "fips.transcribe",
    "greengrass-ats.iot",
    "ingest.timestream",
    "metering.marketplace",
    "metrics-fips.sagemaker",
    "metrics.sagemaker",
    "models-fips.lex",
    "models.lex",
    "participant.connect",
    "participant.connect-fips",
    "portal.sso",
    "query.timestream",
    "runtime-fips.lex",
    "runtime-fips.sagemaker",
    "runtime.lex",
    "runtime.sagemaker",
    "s3-fips.dualstack",
    "s3.dualstack",
    "sms-voice.pinpoint",
    "streams.dynamodb",
    "verification.signer",
    "verification.signer-fips",
];

fn truth(fields: &Fields<'_, '_>, key: &'static str, at: &At<'_>, faults: &mut Collector) -> bool {
    fields.get(key).and_then(|node| choice_of_truth(node, &At::Key(at, key), faults)).unwrap_or(false)
}

/// Checks a name. The error holds the fault and a suggestion.
type Reader = fn(&str) -> Result<(), (String, Option<String>)>;

/// Reads a list of distinct names. It may be empty, because that is the keys' default.
fn names<'s>(
    fields: &Fields<'_, 's>,
    key: &'static str,
    at: &At<'_>,
    read: Reader,
    faults: &mut Collector,
) -> Vec<Cow<'s, str>> {
    let at = At::Key(at, key);
    let Some(node) = fields.get(key) else { return Vec::new() };
    let mut seen = HashSet::new();
    let items = list(node, &at, faults).unwrap_or_default();
    if items.len() > limits::DATA_NAMES {
        let message = format!("the list has more than {} entries", limits::DATA_NAMES);
        faults.report(node.span.clone(), &at, message, None);
    }
    let mut name = |index: usize, node: &Node<'s>| {
        let at = At::Index(&at, index);
        let name = text(node, &at, faults)?;
        let fault = match read(&name.value) {
            // GitHub's names are case-insensitive, and AWS's are lower case.
            Ok(()) if seen.insert(name.value.to_ascii_lowercase()) => return Some(name.value),
            Ok(()) => (format!("`{}` is already listed", name.value), Some("remove one of them".to_owned())),
            Err(fault) => fault,
        };
        faults.report(name.span, &at, fault.0, fault.1);
        None
    };
    items.iter().enumerate().filter_map(|(index, node)| name(index, node)).collect()
}

/// Checks a repository `owner/name` by GitHub's rules for names.
fn repository(written: &str) -> Result<(), (String, Option<String>)> {
    let Some((owner, name)) = written.split_once('/') else {
        let help = format!("write the owner before it: `owner/{written}`");
        return Err((format!("`{written}` is a repository without its owner"), Some(help)));
    };
    if let Some(name) = name.strip_suffix(".git") {
        let help = format!("write `{owner}/{name}`: it covers the name with `.git` too");
        return Err((format!("`{written}` ends in `.git`"), Some(help)));
    }
    let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !is_owner(owner) || name.is_empty() || matches!(name, "." | "..") || name.bytes().any(odd) {
        let help = "write `owner/name`, in ASCII letters, digits, `-`, `_` and `.`".to_owned();
        return Err((format!("`{written}` is not a repository"), Some(help)));
    }
    Ok(())
}

fn user(written: &str) -> Result<(), (String, Option<String>)> {
    if is_owner(written) {
        return Ok(());
    }
    let help = "write the name alone, in ASCII letters, digits, `-` and `_`".to_owned();
    Err((format!("`{written}` is not a user"), Some(help)))
}

fn is_owner(name: &str) -> bool {
    let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    !name.is_empty() && !name.bytes().any(odd)
}

fn service(written: &str) -> Result<(), (String, Option<String>)> {
    if let Some(name) = written.strip_suffix(".amazonaws.com") {
        return Err((format!("`{written}` is a host, not a service"), Some(format!("write `{name}`"))));
    }
    let lower = written.to_ascii_lowercase();
    if lower != written && service(&lower).is_ok() {
        let message = format!("`{written}` is not in canonical form, which is `{lower}`");
        return Err((message, Some(format!("write `{lower}`"))));
    }
    let label = |label: &str| {
        let odd = |byte: u8| !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !label.is_empty() && label.len() <= limits::LABEL_BYTES && !label.bytes().any(odd)
    };
    if written.len() > limits::HOST_BYTES / 2 || !written.split('.').all(label) {
        let help = "write the part before `.amazonaws.com`, such as `sts` or `api.ecr`".to_owned();
        return Err((format!("`{written}` is not a service"), Some(help)));
    }
    if written.contains('.') && SERVICES_WITH_DOTS.binary_search(&written).is_err() {
        let help = format!(
            "most names with a dot belong to customers, such as the names of buckets: if this one is yours, list `{written}.amazonaws.com` in `hosts` of a rule, with its region if it has one"
        );
        return Err((format!("`{written}` is not known to be a service"), Some(help)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_stand_in_a_url() {
        for name in ["octo-org/app", "o/.github", "a_b/c.d-e"] {
            assert_eq!(repository(name), Ok(()), "{name}");
        }
        for name in ["s3", "s3.dualstack", "api.ecr", "bedrock-runtime"].iter().chain(&SERVICES_WITH_DOTS) {
            assert_eq!(service(name), Ok(()), "{name}");
        }
        assert!(SERVICES_WITH_DOTS.is_sorted());
        assert_eq!(user("octo-bot"), Ok(()));
    }

    #[test]
    fn what_would_be_another_path_or_host_is_refused() {
        for name in
            ["app", "o/", "/r", "o/r/x", "o/..", "o/r.git", "o/r*", "o/{r}", "o.x/r", "o/r%2f", "o/r?", "ö/r"]
        {
            assert!(repository(name).is_err(), "{name}");
        }
        for name in ["", "*", "a/b", "..", "a b"] {
            assert!(user(name).is_err(), "{name}");
        }
        for name in [
            "",
            "S3",
            "s3.amazonaws.com",
            "*",
            "s3.",
            "a..b",
            "s3/x",
            "s_3",
            "attacker.s3",
            "s3.attacker",
            "a1b2c3.execute-api",
            "ec2-192-0-2-1.compute-1",
            "123456789012.dkr.ecr",
        ] {
            assert!(service(name).is_err(), "{name}");
        }
    }
}
