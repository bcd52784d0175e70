//! From a document to a policy: defaults are filled in, data keys become rules.

use std::ops::Range;

use crate::document::{PolicyDocument, RegoFiles, yaml};
use crate::effect::Effect;
use crate::fault::{At, Collector, Fault, Faults};
use crate::mode::Mode;
use crate::policy::Policy;
use crate::resolved_rule::ResolvedRule;
use crate::wire::writer;

mod allow_rule;
mod aws;
mod coverage;
mod defaults;
mod diagnostics;
mod github;
mod index;
mod joint_shadow;
pub(crate) mod overlap;
pub(crate) mod shadow;

pub(crate) use defaults::resolve;
use diagnostics::Diagnostics;

/// Compiles the text of a policy document, YAML or JSON.
///
/// | key | meaning |
/// |---|---|
/// | `allowed_domains` | an allow rule with this id: GET and HEAD to these exact hosts, over both schemes on their default ports |
/// | `unrestricted_domains` | an allow rule with this id: any method to these exact hosts, over both schemes on their default ports |
/// | `github_read_access_enabled` | GET, HEAD and git fetches at `github.com`, `api.github.com`, `codeload.github.com` and below `githubusercontent.com` |
/// | `github_allowed_repos` | over https, in any case: pushes to `OWNER/NAME`, and writes below `/repos/OWNER/NAME` of GitHub's REST API, except those that write elsewhere |
/// | `github_allowed_users` | over https, in any case: writes below `/users/NAME` of GitHub's REST API |
/// | `aws_access_enabled`, `aws_allowed_services` | any method over https to `SERVICE.amazonaws.com` and `SERVICE.REGION.amazonaws.com`; for S3 only the path `/` |
/// | `rules` | a list of rules. Each has an `id` and an `effect`, and any of the keys below |
/// | `mode` | of the document or of a rule: `enforce` (default), `report`, `open`. A rule without it has the document's mode; a deny rule in an open document enforces |
/// | `hosts` | exact hosts, or `*.example.com` for the names one or more labels below it, without the bare name. Required in an allow rule; a deny rule without it covers every host |
/// | `schemes` | default: https for allow, both for deny |
/// | `ports` | default: the scheme's default port for allow, all for deny |
/// | `methods` | default: any |
/// | `paths` | default: any; `/exact`, `/prefix/*` (everything below, `/prefix/` included), `/a/{one-segment}/b` |
/// | `paths_ignore_case` | `true`: letters of `paths` match in either case |
/// | `rego` | the files of a Rego policy, which must also allow a request. In a document without allow rules, the key becomes an allow rule with this id for every name on the default ports |
/// | `addresses` | of the document or of an allow rule: non-public address ranges that the hosts may resolve to. A rule's list replaces the document's; an empty list in a rule means public addresses only |
/// | `tls` | allow only: `intercept` (default), or `passthrough`: Envoy passes connections to these hosts through. Such a rule covers only https, and has no methods and no paths |
/// | `upstream` | allow only: the server that receives the requests, and how Envoy verifies it: `host`, `port`, `sni`, `names`, `ca`, `client_certificate`, `client_key`, `sessions: resume` or `none`. A passthrough rule may set only `host` and `port` |
///
/// An omitted key makes an allow rule narrow and a deny rule wide.
///
/// Two more faults concern several rules: a rule that can never decide because others cover it, and a host that one
/// rule passes through while another judges its requests.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile(source: &str) -> Result<Policy, Faults> {
    compile_document(source).map(|compiled| compiled.policy)
}

/// A compiled document.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The rules.
    pub policy: Policy,
    /// The files of the Rego policy, if the document names one. Without it, [`Compiled::policy`] allows nothing.
    pub rego: Option<RegoFiles>,
    /// Parts of the document that are valid, and are probably not meant.
    pub warnings: Vec<Fault>,
}

/// Compiles the text of a policy document like [`compile`], and returns the files of its Rego policy too.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile_document(source: &str) -> Result<Compiled, Faults> {
    compile_with(source, Collector::default())
}

/// Compiles the text of a policy document like [`compile_document`], and warns about wildcards in allow rules over names
/// for which `is_public_suffix` returns true.
///
/// # Errors
/// Every fault of the document at once.
pub fn compile_with_public_suffixes(
    source: &str,
    is_public_suffix: fn(&str) -> bool,
) -> Result<Compiled, Faults> {
    compile_with(source, Collector::with_public_suffixes(is_public_suffix))
}

fn compile_with(source: &str, mut faults: Collector) -> Result<Compiled, Faults> {
    let (Resolved { rules, mode, rego }, mut policy) =
        (resolve_document(source, &mut faults), Policy::deny_all());
    if faults.is_empty() {
        let written = writer::write(&rules, mode, rego.is_some()).map_err(|error| error.to_string());
        match written.and_then(|bytes| Policy::from_bytes(bytes).map_err(|error| error.to_string())) {
            Ok(compiled) => policy = compiled,
            Err(error) => faults.report(0..0, &At::Root, error, None),
        }
    }
    let warnings = faults.warnings(source);
    faults.finish(source, Compiled { policy, rego, warnings })
}

/// The resolved rules of a document, and the settings for all of them.
#[derive(Default)]
struct Resolved<'s> {
    rules: Vec<ResolvedRule<'s>>,
    mode: Mode,
    rego: Option<RegoFiles>,
}

/// Resolves the rules of a document. The result is meaningful only if no fault is reported.
fn resolve_document<'s>(source: &'s str, faults: &mut Collector) -> Resolved<'s> {
    let Some(root) = yaml::read(source, faults) else { return Resolved::default() };
    root.inspect(&At::Root, faults);
    let document = PolicyDocument::read(&root, faults);
    let (mode, rego) = (document.mode, document.rego.clone());
    let addresses = document.addresses.clone();
    let ids: Vec<Range<usize>> =
        document.rules.iter().map(|rule| rule.id.as_ref().map_or(0..0, |id| id.span.clone())).collect();
    let (mut rules, written) = defaults::rules_of_keys(document);
    let first = rules.len();
    let default = addresses.as_ref().map(|addresses| &addresses.value);
    if let Some(addresses) = &addresses
        && !written.iter().any(|rule| rule.effect == Some(Effect::Allow) && rule.addresses.is_none())
        && !rules.iter().any(|rule| rule.effect == Effect::Allow)
        && faults.is_empty()
    {
        let help = "remove the key: it is the default of allow rules without `addresses`, and there is none";
        let at = At::Key(&At::Root, "addresses");
        faults.report(addresses.span.clone(), &at, "no rule uses these `addresses`", Some(help.to_owned()));
    }
    rules.extend(written.into_iter().filter_map(|rule| resolve(rule, mode, default)));
    if faults.is_empty() {
        let diagnostics = Diagnostics::new(source, &rules, first, ids);
        for overlap in overlap::find(&rules) {
            diagnostics.report_overlap(overlap, faults);
        }
        for shadow in shadow::find(&rules, first) {
            diagnostics.report_shadow(shadow, faults);
        }
    }
    Resolved { rules, mode, rego }
}

#[cfg(test)]
pub(crate) mod tests;
