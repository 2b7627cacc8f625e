//! `patchyard change` and `patchyard deployment`: what was approved, how far its hosts are, and what a person decides of it.

use super::args::{Change, Deployment, Format};
use super::client::ApiError;
use super::deploy::{Room, ask, how_to_look, watched};
use super::{Asker, Done, columns, member, once};
use crate::text::shown;
use anyhow::ensure;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;

/// The longest output that is taken, in bytes: agents keep 1 MiB of it.
const LONGEST_OUTPUT: usize = 8 * 1024 * 1024;

/// Does what was asked of changes.
///
/// # Errors
/// No such change; the server refuses.
pub fn change(asker: &Asker, command: &Change) -> anyhow::Result<Done> {
    let tenant = match command {
        Change::Key { file } => return Ok(super::approver::make(asker, file)?.into()),
        _ => asker.tenant()?,
    };
    let changes = format!("{tenant}/changes");
    let text = match command {
        Change::List { limit } => {
            let mut list = asker.client.list(&changes, &[], *limit)?;
            list.iter_mut().for_each(|change| name_updates(asker, change));
            asker.show_list(
                &list,
                columns::CHANGES_OF_HOSTS,
                "Nothing was deployed yet: `patchyard deploy` does.",
            )?
        }
        Change::Show { change } => {
            let mut found = asker.client.get(&format!("{changes}/{change}"), &[])?;
            name_updates(asker, &mut found);
            let card = asker.show_one(&found, columns::CHANGE)?;
            match asker.asking.format() {
                Format::People => {
                    let hosts = asker
                        .client
                        .list(&format!("{changes}/{change}/deployments"), &[], 1000)?;
                    card + "\n" + &asker.show_list(&hosts, columns::DEPLOYMENTS, "It concerns no host.")?
                }
                Format::Json | Format::Csv => card,
            }
        }
        Change::Watch { change } => {
            let found = asker.client.get(&format!("{changes}/{change}"), &[])?;
            return watched(asker, &tenant, &found, &mut Room::real());
        }
        Change::Stop { change } => {
            let answer = decide(asker, &format!("{changes}/{change}/stop"))?;
            asker.say(
                &answer,
                "Stopped: no host begins any more; those that have begun finish.",
            )?
        }
        Change::Resume { change } => {
            let answer = decide(asker, &format!("{changes}/{change}/resume"))?;
            asker.say(&answer, "It goes on.")?
        }
        Change::Approve { change, key, yes } => {
            super::approver::sign(asker, &format!("{changes}/{change}"), key, *yes)?
        }
        Change::Approvers { approvers, needed } => {
            super::approver::policy(asker, &tenant, approvers, *needed)?
        }
        Change::Key { .. } => unreachable!("done above"),
    };
    Ok(text.into())
}

/// Does what was asked of deployments.
///
/// # Errors
/// No such deployment; the server refuses.
pub fn deployment(asker: &Asker, command: &Deployment) -> anyhow::Result<Done> {
    let tenant = asker.tenant()?;
    let deployments = format!("{tenant}/deployments");
    let text = match command {
        Deployment::List { change, limit } => list(asker, &tenant, change.as_deref(), *limit)?,
        Deployment::Show { deployment } => {
            let found = asker.client.get(&format!("{deployments}/{deployment}"), &[])?;
            let card = asker.show_one(&found, columns::DEPLOYMENT)?;
            match asker.asking.format() {
                Format::People => {
                    let packages = found["packages"].as_array().cloned().unwrap_or_default();
                    card + "\n"
                        + &asker.show_list(&packages, columns::DEPLOYED, "No package is named yet.")?
                }
                Format::Json | Format::Csv => card,
            }
        }
        Deployment::Output { deployment } => output(asker, &format!("{deployments}/{deployment}/output"))?,
        Deployment::Retry { deployment } => {
            let answer = decide(asker, &format!("{deployments}/{deployment}/retry"))?;
            asker.say(&answer, "It is tried again.")?
        }
        Deployment::Cancel { deployment } => {
            let answer = decide(asker, &format!("{deployments}/{deployment}/cancel"))?;
            asker.say(
                &answer,
                "Cancelled; if the host has begun by now, it finishes and says so.",
            )?
        }
        Deployment::BackOut {
            deployment,
            yes,
            no_wait,
        } => return back_out(asker, &tenant, deployment, *yes, *no_wait),
    };
    Ok(text.into())
}

/// For people an update is its source and version; programs get what the API gave.
fn name_updates(asker: &Asker, change: &mut Value) {
    if asker.asking.format() == Format::Json {
        return;
    }
    for update in change["updates"].as_array_mut().into_iter().flatten() {
        let word = |name: &str| update[name].as_str().unwrap_or_default().to_owned();
        *update = format!("{} {}", word("source"), word("source_version")).into();
    }
}

fn decide(asker: &Asker, path: &str) -> anyhow::Result<Value> {
    Ok(asker.client.post(path, &json!({}), &once())?)
}

fn list(asker: &Asker, tenant: &str, change: Option<&str>, limit: usize) -> anyhow::Result<String> {
    let (path, none) = match change {
        Some(change) => (
            format!("{tenant}/changes/{change}/deployments"),
            "It concerns no host.",
        ),
        None => (
            format!("{tenant}/deployments"),
            "Nothing is left to look at: nothing failed, and all is in effect.",
        ),
    };
    let list = asker.client.list(&path, &[], limit)?;
    asker.show_list(&list, columns::DEPLOYMENTS, none)
}

/// The package manager's words, line by line, each made harmless.
fn output(asker: &Asker, path: &str) -> anyhow::Result<String> {
    ensure!(asker.asking.format() != Format::Csv, ApiError::NoList);
    let mut bytes = Vec::new();
    asker
        .client
        .download(path, &mut |piece| match bytes.len() + piece.len() {
            0..=LONGEST_OUTPUT => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            _ => Err(io::Error::other("the output is longer than any")),
        })?;
    let said = String::from_utf8_lossy(&bytes);
    if asker.asking.json {
        return super::json(&json!({ "output": said }));
    }
    let mut text = String::new();
    for line in said.lines() {
        let _ = writeln!(text, "{}", shown(line));
    }
    Ok(match text.is_empty() {
        true => "It said nothing.\n".to_owned(),
        false => text,
    })
}

/// Shows what would come back, asks, begins, watches.
fn back_out(asker: &Asker, tenant: &str, deployment: &str, yes: bool, no_wait: bool) -> anyhow::Result<Done> {
    let path = format!("{tenant}/deployments/{deployment}");
    let mut room = Room::real();
    if !yes {
        let found = asker.client.get(&path, &[])?;
        let packages = found["packages"].as_array().cloned().unwrap_or_default();
        let list = asker.show_list(&packages, columns::BROUGHT_BACK, "No package is named.")?;
        room.tell(asker, &list);
        ask(asker, "Bring the former versions back? [y/N] ", &mut room)?;
    }
    let change = decide(asker, &format!("{path}/back-out"))?;
    let id = member(&change, "id")?;
    if no_wait {
        let sentence = format!("Begun. {}", how_to_look(id));
        return Ok(asker.say(&change, sentence.trim_end())?.into());
    }
    watched(asker, tenant, &change, &mut room)
}
