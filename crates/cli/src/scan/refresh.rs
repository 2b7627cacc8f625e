//! `--refresh`.
use super::channels::Channels;
use super::simulate::{self, Simulated, World};
use agent::host::Host;
use content::Store;
use jiff::Timestamp;
use std::path::Path;

/// temp
pub fn ask<'host>(_host: &'host Host, _store: &Store, _now: Timestamp) -> anyhow::Result<Channels<'host>> {
    anyhow::bail!("not yet")
}
/// temp
pub fn simulate(host: &Host, root: &Path, _store: &Store, _channels: &Channels<'_>, _refresh: bool) -> anyhow::Result<Simulated> {
    Ok(simulate::simulate(&World { root, lists: None, config: &host.channel_config, machine_id: host.facts.machine_id.as_deref() })?)
}
