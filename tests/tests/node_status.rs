//! The status of a node names the policy that its Envoy has accepted.

use std::sync::Arc;

use anyhow::Result;
use e2e::{ALPHA, Deadline, EnvoyBinary, ServerOptions, UpstreamHosts};
use weir::envoy::filter_module::FilterModules;
use weir::envoy::gateway::GatewayPolicy;

use crate::served_envoy::{Options, ServedEnvoy};

/// Returns whether the only node has accepted this policy, and the resources that it rejects.
fn status(served: &ServedEnvoy, policy: &Arc<GatewayPolicy>) -> Result<(bool, Vec<String>)> {
    let nodes = served.control_plane()?.nodes().subscribe();
    let nodes = nodes.borrow();
    assert_eq!(nodes.len(), 1);
    let mut nodes = nodes.values();
    let node = nodes.next().expect("one node");
    let rejections = node.stream.rejections().map(|(_, text)| text.to_owned()).collect();
    Ok((node.has_accepted(policy), rejections))
}

fn a_nodes_status_has_the_policy_that_its_envoy_accepted_last(envoy: &EnvoyBinary) -> Result<()> {
    let hosts = UpstreamHosts::start(ServerOptions::default())?;
    let mut served = ServedEnvoy::start(envoy, &hosts, Options::new(&hosts)?)?;
    served.wait_until_ready()?;
    let accepted = |served: &ServedEnvoy, policy: &Arc<GatewayPolicy>| {
        Deadline::seconds(30).poll_eq("the acceptance", &(true, Vec::new()), || status(served, policy))
    };
    let first = served.policy();
    accepted(&served, &first)?;
    // Other methods change only the policy filter.
    served.replace_policy(&hosts.policy().replace("GET, HEAD", "HEAD"))?;
    let second = served.policy();
    accepted(&served, &second)?;
    Deadline::seconds(15)
        .poll_eq("the status of alpha", &403, || Ok(served.client().get(hosts.url(ALPHA, "/"))?.status))?;
    assert!(!status(&served, &first)?.0);

    // Envoy rejects a filter that is not a module, and with it the next policy.
    let bad =
        FilterModules { without_rego: b"no module".as_slice().into(), with_rego: b"".as_slice().into() };
    let mut good = None;
    served.control_plane()?.change_deployment(|deployment| {
        good = Some(std::mem::replace(&mut deployment.filter, bad));
    });
    served.replace_policy(&hosts.policy())?;
    let third = served.policy();
    let rejects = |served: &ServedEnvoy| Ok((!status(served, &third)?.1.is_empty()).then_some(()));
    Deadline::seconds(30).poll("the rejection", || rejects(&served))?;
    assert!(status(&served, &second)?.0, "the last policy that was accepted stays");

    served.control_plane()?.change_deployment(|deployment| {
        deployment.filter = good.take().expect("the first change took it");
    });
    accepted(&served, &third)
}

on_oldest_and_newest_envoy!(a_nodes_status_has_the_policy_that_its_envoy_accepted_last);
