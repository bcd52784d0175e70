//! Says that the policy changed when it is in force: when the run's own Envoy has accepted all of it.
//!
//! Other processes of the same user may connect as well. They neither delay the line nor take it away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_policy::PolicyVersion;

use crate::envoy::gateway::GatewayPolicy;
use crate::nodes::registry::{NodeStatus, Nodes, StreamId};

/// An Envoy accepts a policy within milliseconds. One that takes longer than this is worth a line.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state of a changed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announcement {
    /// The run's own Envoy has accepted it.
    InForce,
    /// No Envoy is connected that could accept it.
    NoEnvoy,
    /// An Envoy has neither accepted nor rejected it yet. A rejection has a line of its own
    /// ([`nodes::server`](crate::nodes::server)).
    Unanswered,
}

/// Announces changed policies.
#[derive(Debug)]
pub(crate) struct PolicyAnnouncer {
    policies: watch::Sender<Option<Arc<GatewayPolicy>>>,
}

impl PolicyAnnouncer {
    /// Creates an announcer for the policies of the nodes, one of which is the Envoy of this process. To be called within
    /// a runtime.
    pub(crate) fn new(nodes: watch::Receiver<Nodes>, envoy: watch::Receiver<Option<u32>>) -> Self {
        let policies = watch::Sender::new(None);
        tokio::spawn(follow(policies.subscribe(), nodes, envoy, tell));
        Self { policies }
    }

    /// Announces this policy once it is in force. A policy that another one replaces before that has no line.
    pub(crate) fn announce(&self, policy: Arc<GatewayPolicy>) {
        self.policies.send_replace(Some(policy));
    }
}

fn tell(version: PolicyVersion, announcement: Announcement) {
    match announcement {
        Announcement::InForce => tracing::warn!(%version, "the policy changed"),
        Announcement::NoEnvoy => {
            tracing::warn!(%version, "the policy changed, and no envoy is connected: the next one gets it");
        }
        Announcement::Unanswered => {
            tracing::warn!(%version, "the policy changed, and envoy has not accepted it yet");
        }
    }
}

/// Follows policies until there will be no more.
async fn follow(
    mut policies: watch::Receiver<Option<Arc<GatewayPolicy>>>,
    mut nodes: watch::Receiver<Nodes>,
    envoy: watch::Receiver<Option<u32>>,
    tell: impl Fn(PolicyVersion, Announcement),
) {
    let mut waiting = None;
    loop {
        let changed = tokio::select! {
            changed = policies.changed() => changed,
            () = in_force(waiting.as_ref(), &mut nodes, &envoy, &tell) => {
                waiting = None;
                continue;
            }
        };
        if changed.is_err() {
            return;
        }
        waiting.clone_from(&*policies.borrow_and_update());
    }
}

/// Waits until the policy is in force, for ever if there is none, and tells how it goes.
async fn in_force(
    policy: Option<&Arc<GatewayPolicy>>,
    nodes: &mut watch::Receiver<Nodes>,
    envoy: &watch::Receiver<Option<u32>>,
    tell: &impl Fn(PolicyVersion, Announcement),
) {
    let Some(policy) = policy else { return std::future::pending().await };
    let version = policy.version();
    if nodes.borrow().is_empty() {
        tell(version, Announcement::NoEnvoy);
    }
    let accepted = |nodes: &Nodes| {
        let own = own_streams(nodes, *envoy.borrow());
        !own.is_empty() && own.iter().all(|node| node.has_accepted(policy))
    };
    let in_time = tokio::time::timeout(PATIENCE, nodes.wait_for(accepted)).await.is_ok();
    if !in_time {
        let is_unanswered = |node: &&NodeStatus| node.stream.rejections().next().is_none();
        let unanswered = own_streams(&nodes.borrow(), *envoy.borrow()).iter().any(is_unanswered);
        if unanswered {
            tell(version, Announcement::Unanswered);
        }
        // The control plane holds the other end.
        let _ = nodes.wait_for(accepted).await;
    }
    tell(version, Announcement::InForce);
}

/// Returns the streams of the run's own Envoy. An Envoy that a script starts has another process than the script: if no
/// stream is of this process, every stream counts.
fn own_streams(nodes: &Nodes, process: Option<u32>) -> Vec<&NodeStatus> {
    let is_own = |stream: &StreamId| process.is_some() && stream.node.process() == process;
    let own: Vec<_> = nodes.iter().filter(|(stream, _)| is_own(stream)).map(|(_, status)| status).collect();
    if own.is_empty() { nodes.values().collect() } else { own }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use weir_xds::{Acknowledgement, ResourceType, StreamStatus};

    use super::*;
    use crate::envoy::capabilities::{Capabilities, Protocol, UpstreamTlsChoice};
    use crate::input::upstream_files::UpstreamFiles;
    use crate::nodes::identity::tests::node;

    /// The process of the run's own Envoy.
    const ENVOY: u32 = 1;

    struct Announced {
        policies: watch::Sender<Option<Arc<GatewayPolicy>>>,
        nodes: watch::Sender<Nodes>,
        lines: mpsc::UnboundedReceiver<(PolicyVersion, Announcement)>,
    }

    impl Announced {
        fn new() -> Self {
            let (policies, nodes) = (watch::Sender::new(None), watch::Sender::new(Nodes::new()));
            let (sender, lines) = mpsc::unbounded_channel();
            let tell = move |version, announcement| sender.send((version, announcement)).unwrap();
            let envoy = watch::Sender::new(Some(ENVOY));
            tokio::spawn(follow(policies.subscribe(), nodes.subscribe(), envoy.subscribe(), tell));
            Self { policies, nodes, lines }
        }

        fn changes_to(&self, policy: &Arc<GatewayPolicy>) {
            self.policies.send_replace(Some(Arc::clone(policy)));
        }

        fn accepts(&self, number: u64, policy: Option<&Arc<GatewayPolicy>>) {
            self.process_accepts(ENVOY, number, policy);
        }

        fn process_accepts(&self, process: u32, number: u64, policy: Option<&Arc<GatewayPolicy>>) {
            let capabilities = Capabilities::new(None, Protocol::Delta, UpstreamTlsChoice::Auto);
            let status = NodeStatus {
                label: String::new(),
                version: None,
                protocol: Protocol::Delta,
                capabilities,
                stream: StreamStatus::default(),
                accepted_policy: policy.cloned(),
            };
            self.nodes.send_modify(|nodes| {
                nodes.insert(StreamId { node: node(process), number }, status);
            });
        }

        fn rejects(&self, number: u64) {
            self.nodes.send_modify(|nodes| {
                let status = nodes.get_mut(&StreamId { node: node(ENVOY), number }).unwrap();
                let (kind, nonce) = (ResourceType::ExtensionConfig, "1".to_owned());
                status.stream.sent(kind, &nonce, vec!["weir.policy".to_owned()]);
                let rejection = Some("no".to_owned());
                status.stream.acknowledged(Acknowledgement { kind, nonce, rejection });
            });
        }

        /// The next line; `None` if nothing is said for a minute.
        async fn line(&mut self) -> Option<(PolicyVersion, Announcement)> {
            tokio::time::timeout(Duration::from_secs(60), self.lines.recv()).await.ok().flatten()
        }
    }

    fn policy(host: &str) -> Arc<GatewayPolicy> {
        let rules = weir_policy::compile(&format!("allowed_domains: [{host}]")).unwrap();
        let upstream_files = Arc::new(UpstreamFiles::unread());
        Arc::new(GatewayPolicy { rules: Arc::new(rules), upstream_files, rego: None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_is_announced_when_every_envoy_has_accepted_it() {
        let (mut announced, old, new) = (Announced::new(), policy("a.example"), policy("b.example"));
        announced.accepts(0, Some(&old));
        announced.accepts(1, Some(&old));
        announced.changes_to(&new);
        assert_eq!(announced.line().await, Some((new.version(), Announcement::Unanswered)));
        announced.accepts(0, Some(&new));
        assert_eq!(announced.line().await, None);
        announced.accepts(1, Some(&new));
        assert_eq!(announced.line().await, Some((new.version(), Announcement::InForce)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_accepts_nothing_delays_no_line_of_the_own_envoy() {
        let (mut announced, old, new) = (Announced::new(), policy("a.example"), policy("b.example"));
        announced.process_accepts(ENVOY + 1, 0, None);
        announced.accepts(1, Some(&old));
        announced.changes_to(&new);
        announced.process_accepts(ENVOY + 2, 2, Some(&new));
        assert_eq!(announced.line().await, Some((new.version(), Announcement::Unanswered)));
        announced.accepts(1, Some(&new));
        assert_eq!(announced.line().await, Some((new.version(), Announcement::InForce)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_envoy_that_a_script_started_counts_as_well() {
        let (mut announced, new) = (Announced::new(), policy("b.example"));
        announced.process_accepts(ENVOY + 1, 0, Some(&new));
        announced.changes_to(&new);
        assert_eq!(announced.line().await, Some((new.version(), Announcement::InForce)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_envoy_a_policy_waits_for_one() {
        let (mut announced, new) = (Announced::new(), policy("b.example"));
        announced.changes_to(&new);
        assert_eq!(announced.line().await, Some((new.version(), Announcement::NoEnvoy)));
        assert_eq!(announced.line().await, None);
        announced.accepts(0, None);
        assert_eq!(announced.line().await, None);
        announced.accepts(0, Some(&new));
        assert_eq!(announced.line().await, Some((new.version(), Announcement::InForce)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_policy_is_never_in_force_and_a_later_one_is() {
        let (mut announced, bad, good) = (Announced::new(), policy("a.example"), policy("b.example"));
        announced.accepts(0, None);
        announced.rejects(0);
        announced.changes_to(&bad);
        assert_eq!(announced.line().await, None);
        announced.changes_to(&good);
        announced.accepts(0, Some(&good));
        assert_eq!(announced.line().await, Some((good.version(), Announcement::InForce)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_equal_policy_that_was_read_again_is_another_edit() {
        let (mut announced, first) = (Announced::new(), policy("a.example"));
        announced.accepts(0, Some(&first));
        let again = policy("a.example");
        announced.changes_to(&again);
        assert_eq!(announced.line().await, Some((again.version(), Announcement::Unanswered)));
    }
}
