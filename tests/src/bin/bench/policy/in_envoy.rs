//! The policy in the V8 of an Envoy, compiled as the filter is.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::EnvoyBinary;

use super::Measured;
use super::workload::{Kind, Workload};
use crate::envoy::{Envoy, Manager, answering, bytes_value, wasm_filter};

/// The approximate number of decisions that each mean covers.
const DECISIONS: usize = 300_000;

/// Loads the policy's bytes and makes every decision of the workload.
pub(super) fn measure(binary: &EnvoyBinary, plugin: &Path, workload: &Workload) -> Result<Measured> {
    let series: Vec<(usize, Vec<String>, &str)> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let (authorities, path) = workload.requests(kind);
            ((DECISIONS / authorities.len()).max(1), authorities, path)
        })
        .collect();
    let configuration = encode(workload.policy.as_bytes(), &series)?;
    let mut envoy = Envoy::start(binary, |folder| {
        let filters = vec![wasm_filter(plugin, &bytes_value(&configuration))];
        Ok(answering(folder, Manager { filters, tells_connection: false }, None))
    })?;
    let said = envoy.wait("bench plugin", |envoy| {
        envoy.log().all().iter().find_map(|line| line.split_once("bench: ").map(|(_, said)| said.to_owned()))
    })?;
    let numbers: Vec<f64> =
        said.split(' ').map(str::parse).collect::<Result<_, _>>().with_context(|| said.clone())?;
    let (head, decisions) = numbers.split_first_chunk::<2>().context("too short an answer")?;
    ensure!(decisions.len() == 2 * series.len(), "not an answer for each series: {said}");
    for ((kind, (_, authorities, _)), answer) in Kind::ALL.into_iter().zip(&series).zip(decisions.chunks(2)) {
        let expected = if kind.allows() { authorities.len() } else { 0 };
        ensure!(
            answer.get(1) == Some(&(expected as f64)),
            "{kind:?}: {answer:?}, {expected} should be allowed"
        );
    }
    let [load, memory] = *head;
    Ok(Measured {
        load: load / 1e9,
        memory: Some(memory),
        decisions: decisions.iter().step_by(2).copied().collect(),
    })
}

/// Encodes the plugin's configuration.
fn encode(policy: &[u8], series: &[(usize, Vec<String>, &str)]) -> Result<Vec<u8>> {
    let number = |number: usize| u32::try_from(number).map(u32::to_le_bytes);
    let mut bytes = number(policy.len())?.to_vec();
    bytes.extend_from_slice(policy);
    for (rounds, authorities, path) in series {
        bytes.extend(number(*rounds)?);
        bytes.extend(number(authorities.len())?);
        for text in authorities.iter().flat_map(|authority| [authority.as_str(), path]) {
            bytes.push(u8::try_from(text.len())?);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    Ok(bytes)
}
