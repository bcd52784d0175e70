//! One request of the demo: the request, the expected result, and the actual one.

use anyhow::{Context, Result};
use e2e::{LoggedDecision, Request, RunningGateway, UpstreamHosts};

/// A request and its expected result.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The host that the client connects to.
    pub(crate) host: &'static str,
    /// A short note about the request.
    pub(crate) note: &'static str,
    request: Request,
    /// The expected status and reason.
    pub(crate) expected: (u16, &'static str),
}

impl Ask {
    /// A GET of `/`, which the policy allows.
    pub(crate) fn allowed(hosts: &UpstreamHosts, host: &'static str) -> Self {
        Self { host, note: "", request: Request::get(hosts.url(host, "/")), expected: (200, "allowed") }
    }

    /// A request that must be refused.
    pub(crate) fn refused(
        host: &'static str,
        note: &'static str,
        request: Request,
        status: u16,
        reason: &'static str,
    ) -> Self {
        Self { host, note, request, expected: (status, reason) }
    }

    /// The request's method.
    pub(crate) fn method(&self) -> &str {
        &self.request.method
    }
}

/// A request and its answer.
#[derive(Debug)]
pub(crate) struct Row {
    /// The request.
    pub(crate) ask: Ask,
    /// The status that curl got, from the server or in response to its CONNECT.
    pub(crate) status: u16,
    /// The gateway's decision about the request.
    pub(crate) decision: LoggedDecision,
    /// Whether the upstream resumed a TLS session; `None` if it served no request.
    pub(crate) resumed: Option<bool>,
    /// The server name that the upstream got; `None` if it served no request.
    server_name: Option<String>,
}

impl Row {
    /// Sends the request. `earlier` is the number of decisions that this gateway has made before.
    pub(crate) fn answer(
        ask: Ask,
        gateway: &RunningGateway,
        hosts: &UpstreamHosts,
        earlier: usize,
    ) -> Result<Self> {
        let served_before = hosts.nginx.served()?.len();
        let response = gateway.client().send(&ask.request)?;
        let decision = gateway.decisions(earlier + 1)?.pop().context("no decision")?;
        let served = if response.status == 200 {
            hosts.nginx.wait_served(served_before + 1)?.pop()
        } else {
            hosts.nginx.served()?.into_iter().nth(served_before)
        };
        Ok(Self {
            status: if response.status == 0 { response.connect_status } else { response.status },
            resumed: served.as_ref().map(e2e::ServedRequest::is_resumed),
            server_name: served.map(|served| served.sni),
            ask,
            decision,
        })
    }

    /// Returns whether status and reason are as expected, and the content came only from the verified host.
    pub(crate) fn is_right(&self) -> bool {
        let as_expected = (self.status, self.decision.reason.as_str()) == self.ask.expected;
        let from_the_host = if self.status == 200 {
            self.server_name.as_deref() == Some(self.ask.host)
                && self.decision.upstream_names.iter().any(|name| name == self.ask.host)
        } else {
            self.server_name.is_none()
        };
        as_expected && from_the_host
    }
}
