//! `patchyard update`, `finding` and `at-risk`: what vendors published, who misses it, and why.

use super::args::{AtRisk, Finding, Update};
use super::hosts::{id, moment};
use super::{Asker, columns};
use anyhow::Context;
use serde_json::json;
use std::fmt::Write;

/// Does what was asked of updates.
///
/// # Errors
/// No such update; the server refuses.
pub fn update(asker: &Asker, command: &Update) -> anyhow::Result<String> {
    let updates = format!("{}/updates", asker.tenant()?);
    match command {
        Update::List { package, security, limit } => {
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(package.as_deref().map(|package| ("source", package)));
            query.extend(security.then_some(("classification", "security")));
            let items = asker.client.list(&updates, &query, *limit)?;
            asker.show_list(&items, columns::UPDATES, "No host is known to miss anything.")
        }
        Update::Show { update } => {
            let update = asker.client.get(&format!("{updates}/{update}"), &[])?;
            asker.show_one(&update, columns::UPDATES)
        }
        Update::Hosts { update, as_of } => {
            let moment = moment(as_of);
            let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
            let items = asker.client.list(&format!("{updates}/{update}/hosts"), &query, 1_000_000)?;
            asker.show_list(&items, columns::CONCERNED, "No host misses it.")
        }
    }
}

/// Does what was asked of findings.
///
/// # Errors
/// No such host or update; the server refuses.
pub fn finding(asker: &Asker, command: &Finding) -> anyhow::Result<String> {
    let tenant = asker.tenant()?;
    match command {
        Finding::List { host, update, limit, as_of } => {
            let moment = moment(as_of);
            let host = host.as_deref().map(|host| id(asker, &tenant, host)).transpose()?;
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(host.as_deref().map(|host| ("host", host)));
            query.extend(update.as_deref().map(|update| ("update", update)));
            query.extend(moment.as_deref().map(|moment| ("as_of", moment)));
            let items = asker.client.list(&format!("{tenant}/findings"), &query, *limit)?;
            asker.show_list(&items, columns::FINDINGS, "There are no such findings.")
        }
        Finding::Explain { host, package } => {
            let host = id(asker, &tenant, host)?;
            let path = format!("{tenant}/hosts/{host}/explain");
            let answer = asker.client.get(&path, &[("package", package)])?;
            if asker.asking.json {
                return super::json(&answer);
            }
            let sentences = answer["sentences"]
                .as_array()
                .context("the server explained nothing")?;
            let mut text = String::new();
            for sentence in sentences.iter().filter_map(serde_json::Value::as_str) {
                let _ = writeln!(text, "{}", crate::text::shown(sentence));
            }
            Ok(text)
        }
    }
}

/// Which hosts are concerned.
///
/// # Errors
/// A range that cannot be read; the server refuses.
pub fn at_risk(asker: &Asker, command: &AtRisk) -> anyhow::Result<String> {
    let tenant = asker.tenant()?;
    let packages: Vec<serde_json::Value> = command
        .package
        .iter()
        .map(|range| {
            let (name, below) = range
                .split_once('<')
                .with_context(|| format!("{range:?} is no range: write PACKAGE<VERSION, such as 'openssl<3.0.22-1'"))?;
            Ok(json!({ "name": name.trim(), "below": below.trim() }))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut question = json!({ "packages": packages });
    if let Some(update) = &command.update {
        question["update"] = json!(update);
    }
    if let Some(cve) = &command.cve {
        question["about"] = json!(cve);
    }
    if let Some(moment) = moment(&command.as_of) {
        question["as_of"] = json!(moment);
    }
    let answer = asker.client.post(&format!("{tenant}/at-risk"), &question, &super::once())?;
    let hosts = answer["items"].as_array().cloned().unwrap_or_default();
    asker.show_list(&hosts, columns::CONCERNED, "No host is concerned.")
}
