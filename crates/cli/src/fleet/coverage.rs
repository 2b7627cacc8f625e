//! `patchyard coverage`: what no verified source answers for, why, and what helps.

use super::args::{Coverage, Format};
use super::hosts::{moment, path};
use super::{Asker, columns};
use anyhow::bail;
use serde_json::{Value, json};
use std::fmt::Write;

/// Does what was asked.
///
/// # Errors
/// No such host; the server refuses.
pub fn run(asker: &Asker, command: &Coverage) -> anyhow::Result<String> {
    let tenant = asker.tenant()?;
    let moment = moment(&command.as_of);
    let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
    if let Some(host) = &command.host {
        let path = format!("{}/coverage", path(asker, &tenant, host)?);
        return of_host(asker, &asker.client.get(&path, &query)?);
    }
    let summary = asker.client.get(&format!("{tenant}/coverage"), &query)?;
    if moment.is_some() {
        // Of the past, gaps are kept host by host: --host answers.
        return match asker.asking.format() {
            Format::People => Ok(standings(&summary)),
            Format::Json => super::json(&summary),
            Format::Csv => bail!("--csv with --as-of is for one host: name it with --host"),
        };
    }
    let gaps = asker
        .client
        .list(&format!("{tenant}/coverage/gaps"), &[], command.limit)?;
    let none = "Verified sources answer for everything on all hosts that reported.";
    match asker.asking.format() {
        Format::People => {
            let table = asker.show_list(&gaps, columns::GAPS, none)?;
            Ok(standings(&summary) + &table)
        }
        Format::Json => super::json(&json!({ "summary": summary, "gaps": gaps })),
        Format::Csv => asker.show_list(&gaps, columns::GAPS, none),
    }
}

/// How many hosts stand how, in a line.
fn standings(summary: &Value) -> String {
    let count = |name: &str| summary[name].as_u64().unwrap_or(0);
    format!(
        "{} up to date, {} with updates missing, {} not known\n",
        count("up_to_date"),
        count("updates_missing"),
        count("unknown")
    )
}

fn of_host(asker: &Asker, coverage: &Value) -> anyhow::Result<String> {
    let list = |name: &str| coverage[name].as_array().cloned().unwrap_or_default();
    match asker.asking.format() {
        Format::Json => return super::json(coverage),
        Format::Csv => return asker.show_list(&list("packages"), columns::PACKAGE_GAPS, ""),
        Format::People => {}
    }
    let sources = asker.show_list(&list("sources"), columns::STANZAS, "It names no package sources.")?;
    let packages = asker.show_list(
        &list("packages"),
        columns::PACKAGE_GAPS,
        "Verified sources answer for each of its packages.",
    )?;
    let mut text = format!("{sources}\n{packages}");
    for hole in list("host").iter().filter_map(Value::as_str) {
        let _ = writeln!(
            text,
            "{}: {}",
            asker.style.warn("NOT ASSESSED"),
            crate::text::shown(hole)
        );
    }
    Ok(text)
}
