//! Whether a computer that asks to be enrolled is one that the tenant knows: the same again, a copy of it, or another.

use crate::agents::registry::read_chain;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use domain::identity::chain::Bearer;
use jiff::Timestamp;
use store::host::{self, Host, HostState};
use store::{Error, Scope, View, agent_chain, liveness};

/// What a computer is taken for.
#[derive(Clone, Debug)]
pub(super) enum Recognised {
    /// One that nobody knows.
    New,
    /// This host, installed or enrolled again.
    Same(Box<Host>),
    /// Another computer that was made from this host's disk.
    CopyOf(HostId),
}

/// Judges by the machine-id, which copies of a disk share, and then by boot and hardware, which they do not.
pub(super) fn recognise(
    view: &mut View,
    scope: &Scope,
    machine: Option<Sha256Digest>,
    bearer: Bearer,
    now: Timestamp,
) -> Result<Recognised, Error> {
    let Some(machine) = machine else {
        return Ok(Recognised::New);
    };
    let known = host::by_machine(view, scope, machine)?;
    let mut original = None;
    for host in known {
        if is_same(view, scope, &host, bearer, now)? {
            return Ok(Recognised::Same(Box::new(host)));
        }
        // The oldest one that is still managed is the original.
        if host.state != HostState::Retired {
            original = Some(host.copy_of.unwrap_or(host.id));
        }
    }
    Ok(original.map_or(Recognised::New, Recognised::CopyOf))
}

fn is_same(
    view: &mut View,
    scope: &Scope,
    host: &Host,
    bearer: Bearer,
    now: Timestamp,
) -> Result<bool, Error> {
    let chain = agent_chain::get(view, scope, host.id)?;
    let chain = chain.as_ref().map(read_chain).transpose()?;
    if chain.as_ref().is_some_and(|chain| chain.has_moved()) {
        // Who had the host last may be a copy that came while the original was away: a person decides.
        return Ok(false);
    }
    match chain.map(|chain| chain.bearer()) {
        Some(last) if last.boot == bearer.boot => return Ok(true),
        Some(Bearer {
            hardware: Some(known),
            ..
        }) if bearer.hardware.is_some() => return Ok(bearer.hardware == Some(known)),
        _ => {}
    }
    // Nothing tells the two apart: while the known one is alive, this is another.
    let alive = liveness::get(view, scope, host.id)?.is_some_and(|sign| sign.next_expected_at > now);
    Ok(!alive)
}
