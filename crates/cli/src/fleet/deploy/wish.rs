//! What a person wants, as the API takes it: updates by their ids, hosts by names, ids or a selector, and the rules.

use super::super::args::{Deploy, Reboot};
use super::super::{Asker, hosts, is_id, member};
use anyhow::{Context, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Days until nothing begins any more, where nobody says.
const DAYS: i64 = 7;
/// Hosts that a selector may name: more are meant by `all`.
const MOST: usize = 20_000;

/// A wish.
pub struct Wish {
    /// The request's body, the same for the preview and for what follows it.
    pub body: Value,
    /// The updates as the API lists them, for people.
    pub updates: Vec<Value>,
}

impl Wish {
    /// The mode that hosts need for it.
    pub fn needs(&self) -> &str {
        self.body["needs"].as_str().unwrap_or("install")
    }
}

/// Finds what is meant.
///
/// # Errors
/// An update or a host is unknown, or the words contradict each other.
pub fn of(asker: &Asker, tenant: &str, command: &Deploy) -> anyhow::Result<Wish> {
    let mut updates = Vec::new();
    for named in &command.updates {
        updates.extend(updates_called(asker, &format!("{tenant}/updates"), named)?);
    }
    let ids = updates
        .iter()
        .map(|update| member(update, "id").map(str::to_owned));
    let mut ids = ids.collect::<anyhow::Result<Vec<_>>>()?;
    ids.sort_unstable();
    ids.dedup();
    let needs_full = command.restart_services || command.reboot == Reboot::IfNeeded;
    let begins = command.at.unwrap_or(asker.now);
    let closes = command
        .until
        .unwrap_or_else(|| whole_second(begins + SignedDuration::from_hours(24 * DAYS)));
    ensure!(
        closes > begins,
        "it would end at {closes}, before it begins at {begins}"
    );
    let mut body = json!({
        "updates": ids,
        "hosts": hosts_called(asker, tenant, &command.hosts)?,
        "needs": if needs_full { "full" } else { "install" },
        "reboot": match command.reboot {
            Reboot::Never => json!({ "rule": "never" }),
            Reboot::IfNeeded => json!({ "rule": "if_needed", "notice_seconds": command.notice * 60 }),
        },
        "start": if command.offline_ok { "offline_ok" } else { "with_go" },
        "closes": closes.to_string(),
        "removals": command.removals.iter().map(|removal| removal_of(removal)).collect::<anyhow::Result<Vec<_>>>()?,
        "reason": command.reason,
    });
    if let Some(at) = command.at {
        body["opens"] = json!(at.to_string());
    }
    if let Some(at_once) = command.at_once {
        body["at_once"] = json!(at_once);
    }
    Ok(Wish { body, updates })
}

fn whole_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

/// The updates that a person means: the one with this id, the one of this version, or all of this source that hosts miss.
fn updates_called(asker: &Asker, updates: &str, named: &str) -> anyhow::Result<Vec<Value>> {
    if is_id(named) {
        return Ok(vec![asker.client.get(&format!("{updates}/{named}"), &[])?]);
    }
    let (source, version) = match named.split_once('=') {
        Some((source, version)) => (source, Some(version)),
        None => (named, None),
    };
    let mut query = vec![("package", source)];
    query.extend(version.is_none().then_some(("missed", "true")));
    let mut fitting = asker.client.list(updates, &query, 10_000)?;
    fitting.retain(|update| {
        update["source"] == source && version.is_none_or(|version| update["source_version"] == version)
    });
    ensure!(
        !fitting.is_empty(),
        "there is no update {named:?} that a host misses: `patchyard update list` shows those that hosts miss"
    );
    Ok(fitting)
}

/// The hosts that a person means, as the API takes them.
fn hosts_called(asker: &Asker, tenant: &str, named: &str) -> anyhow::Result<Value> {
    if named == "all" {
        return Ok(json!({ "all": true }));
    }
    if let Some((selector, value)) = named.split_once('=') {
        return selected(asker, tenant, selector, value);
    }
    let names: Vec<&str> = named.split(',').map(str::trim).collect();
    ensure!(
        names.iter().all(|name| !name.is_empty()),
        "{named:?} names a host without a name"
    );
    match names.iter().filter(|name| is_id(name)).count() {
        0 => Ok(json!({ "names": names })),
        _ => {
            let ids = names.iter().map(|name| hosts::id(asker, tenant, name));
            Ok(json!({ "ids": ids.collect::<anyhow::Result<Vec<_>>>()? }))
        }
    }
}

fn selected(asker: &Asker, tenant: &str, selector: &str, value: &str) -> anyhow::Result<Value> {
    let site;
    let (parameter, value) = match selector {
        "tag" | "name" | "standing" => (selector, value),
        "site" => {
            site = asker.find(&format!("{tenant}/sites"), &[], "site", value)?;
            (selector, member(&site, "id")?)
        }
        _ => bail!("{selector:?} selects no hosts: say tag=, site=, name= or standing=, names, or all"),
    };
    let query = [(parameter, value), ("state", "active")];
    let hosts = asker.client.list(&format!("{tenant}/hosts"), &query, MOST + 1)?;
    ensure!(
        hosts.len() <= MOST,
        "more than {MOST} hosts are meant: say all, or select fewer"
    );
    ensure!(
        !hosts.is_empty(),
        "no host is meant by {selector}={value:?}: `patchyard host list` takes the same words"
    );
    let ids = hosts.iter().map(|host| member(host, "id"));
    Ok(json!({ "ids": ids.collect::<anyhow::Result<Vec<_>>>()? }))
}

fn removal_of(text: &str) -> anyhow::Result<Value> {
    let (name, architecture) = text
        .split_once(':')
        .with_context(|| format!("{text:?} is no package to remove: write NAME:ARCHITECTURE"))?;
    Ok(json!({ "name": name, "architecture": architecture }))
}
