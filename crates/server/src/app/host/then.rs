//! Hosts as they stood at a moment of the past, as known then.

use super::HostView;
use crate::app::shape::When;
use domain::assess::fleet::{ChunkNo, HostNo};
use domain::id::HostId;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use store::host::{Host, HostState};
use store::{Scope, View, coverage, finding};

/// The hosts with the standing of then. When they were heard of last is not kept, and neither is whether one waited or was
/// quarantined: one that was let in and not retired yet is shown as active.
pub(super) fn show(
    view: &mut View,
    scope: &Scope,
    hosts: Vec<Host>,
    at: Timestamp,
) -> Result<Vec<HostView>, store::Error> {
    let known: Vec<(HostId, HostNo, HostState)> = hosts
        .iter()
        .map(|host| (host.id, host.host_no, host.state))
        .collect();
    let mut shown = super::show(view, scope, hosts)?;
    let generation = finding::generation(view, scope, Some(at))?.map(|generation| generation.number);
    let missing = match generation {
        Some(generation) => missing(
            view,
            scope,
            known.iter().map(|(_, number, _)| *number),
            generation,
        )?,
        None => HashMap::new(),
    };
    for (host, (id, number, state)) in shown.iter_mut().zip(known) {
        let stood = match generation {
            Some(generation) => coverage::of_host(view, scope, id, generation)?,
            None => None,
        };
        host.standing = stood.map_or("unknown", |stood| stood.standing.as_str());
        host.missing = missing.get(&number).copied().unwrap_or(0);
        host.missing_security = None;
        host.seen_at = None;
        host.retired_at = host.retired_at.filter(|retired: &When| retired.0 <= at);
        if state == HostState::Retired && host.retired_at.is_none() {
            host.state = HostState::Active.as_str();
        }
    }
    Ok(shown)
}

/// How many updates each of these hosts missed in a generation.
fn missing(
    view: &mut View,
    scope: &Scope,
    hosts: impl Iterator<Item = HostNo>,
    generation: u64,
) -> Result<HashMap<HostNo, u32>, store::Error> {
    let mut by_chunk: BTreeMap<ChunkNo, Vec<HostNo>> = BTreeMap::new();
    for host in hosts {
        by_chunk.entry(host.chunk()).or_default().push(host);
    }
    let mut counts = HashMap::new();
    for (chunk, hosts) in by_chunk {
        for found in finding::of_chunk(view, scope, chunk, generation)? {
            for host in hosts.iter().filter(|host| found.hosts.contains(host.0)) {
                *counts.entry(*host).or_default() += 1;
            }
        }
    }
    Ok(counts)
}
