//! Hosts as they stood at a moment of the past, as known then.

use super::HostView;
use crate::app::shape::When;
use domain::id::HostId;
use jiff::Timestamp;
use store::host::{Host, HostState};
use store::{Scope, View, coverage, finding, host};

/// The hosts with the standing of then. When they were heard of last is not kept, and neither is whether one waited or was
/// quarantined: one that was let in and not retired yet is shown as active.
pub(super) fn show(
    view: &mut View,
    scope: &Scope,
    mut hosts: Vec<Host>,
    at: Timestamp,
) -> Result<Vec<HostView>, store::Error> {
    // There is no generation 0: before the first, nothing was known of anybody.
    let generation = finding::generation(view, scope, Some(at))?.map_or(0, |generation| generation.number);
    host::count_then(view, scope, &mut hosts, generation)?;
    let known: Vec<(HostId, HostState)> = hosts.iter().map(|host| (host.id, host.state)).collect();
    let ids: Vec<HostId> = known.iter().map(|(id, _)| *id).collect();
    let stood = coverage::of_hosts(view, scope, &ids, generation)?;
    let mut shown = super::show(view, scope, hosts)?;
    for (host, (id, state)) in shown.iter_mut().zip(known) {
        let stood = stood.get(&id);
        host.standing = stood.map_or("unknown", |stood| stood.standing.as_str());
        host.seen_at = None;
        host.retired_at = host.retired_at.filter(|retired: &When| retired.0 <= at);
        if state == HostState::Retired && host.retired_at.is_none() {
            host.state = HostState::Active.as_str();
        }
    }
    Ok(shown)
}
