//! `patchyard update`, `finding` and `at-risk`: what vendors published, who misses it, and why.

use super::args::{AtRisk, Finding, Format, Update};
use super::hosts::{id, moment};
use super::{Asker, columns, member};
use anyhow::{Context, bail};
use serde_json::json;
use std::fmt::Write;

/// Does what was asked of updates.
///
/// # Errors
/// No such update; the server refuses.
pub fn update(asker: &Asker, command: &Update) -> anyhow::Result<String> {
    let updates = format!("{}/updates", asker.tenant()?);
    match command {
        Update::List {
            package,
            security,
            limit,
            as_of,
        } => {
            let moment = moment(as_of);
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.push(("missed", "true"));
            query.extend(moment.as_deref().map(|moment| ("as_of", moment)));
            query.extend(package.as_deref().map(|package| ("package", package)));
            query.extend(security.then_some(("classification", "security")));
            let items = asker.client.list(&updates, &query, *limit)?;
            asker.show_list(&items, columns::UPDATES, "No host is known to miss anything.")
        }
        Update::Show { update, as_of } => {
            let moment = moment(as_of);
            let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
            let update = asker.client.get(&path(asker, &updates, update)?, &query)?;
            asker.show_one(&update, columns::UPDATE)
        }
        Update::Hosts { update, as_of } => {
            let moment = moment(as_of);
            let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
            let mut items = asker.client.list(
                &format!("{}/hosts", path(asker, &updates, update)?),
                &query,
                1_000_000,
            )?;
            super::hosts::name_sites(asker, &asker.tenant()?, &mut items)?;
            asker.show_list(&items, columns::CONCERNED, "No host misses it.")
        }
    }
}

/// The path of an update: by its id, by SOURCE=VERSION, or by SOURCE alone where hosts miss one update of it only.
///
/// # Errors
/// It names none or several.
fn path(asker: &Asker, updates: &str, named: &str) -> anyhow::Result<String> {
    if super::is_id(named) {
        return Ok(format!("{updates}/{named}"));
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
    match fitting.as_slice() {
        [update] => Ok(format!("{updates}/{}", member(update, "id")?)),
        [] => bail!("there is no update {named:?}: `patchyard update list` shows those that hosts miss"),
        several => {
            let versions: Vec<&str> = several
                .iter()
                .filter_map(|update| update["source_version"].as_str())
                .collect();
            bail!(
                "several updates of {source} are missed: name one as {source}=VERSION ({})",
                versions.join(", ")
            )
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
        Finding::List {
            host: Some(host),
            as_of,
            ..
        } => super::hosts::findings(asker, &tenant, host, as_of),
        Finding::List {
            host: None,
            security,
            limit,
            as_of,
        } => {
            let moment = moment(as_of);
            let mut query = vec![("missed", "true")];
            query.extend(security.then_some(("classification", "security")));
            query.extend(moment.as_deref().map(|moment| ("as_of", moment)));
            let items = asker.client.list(&format!("{tenant}/updates"), &query, *limit)?;
            asker.show_list(&items, columns::FINDINGS, "No host is known to miss anything.")
        }
        Finding::Explain { host, package, as_of } => {
            let host = id(asker, &tenant, host)?;
            let path = format!("{tenant}/hosts/{host}/explain");
            let moment = moment(as_of);
            let mut query = vec![("package", package.as_str())];
            query.extend(moment.as_deref().map(|moment| ("as_of", moment)));
            let answer = asker.client.get(&path, &query)?;
            if asker.asking.format() == Format::Json {
                return super::json(&answer);
            }
            let sentences = answer["sentences"]
                .as_array()
                .context("the server explained nothing")?;
            if asker.asking.format() == Format::Csv {
                return asker.show_list(sentences, columns::SENTENCES, "");
            }
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
    let moment = moment(&command.as_of);
    let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
    let mut hosts = match &command.update {
        Some(update) => asker.client.list(
            &format!("{}/hosts", path(asker, &format!("{tenant}/updates"), update)?),
            &query,
            1_000_000,
        )?,
        None => {
            let packages = command.package.iter().map(|range| range_of(range));
            let packages = packages.collect::<anyhow::Result<Vec<_>>>()?;
            let question =
                json!({ "name": command.cve.as_deref().unwrap_or_default(), "packages": packages });
            asker
                .client
                .ask_list(&format!("{tenant}/at-risk"), &query, &question, 1_000_000)?
        }
    };
    super::hosts::name_sites(asker, &tenant, &mut hosts)?;
    let list = asker.show_list(&hosts, columns::CONCERNED, "No host is concerned.")?;
    match (&command.cve, asker.asking.format()) {
        (Some(cve), Format::People) => {
            let concerned = crate::text::counted(hosts.len(), "host");
            Ok(format!("{}: {concerned}\n{list}", crate::text::shown(cve)))
        }
        _ => Ok(list),
    }
}

/// `PACKAGE<VERSION`, or `source:PACKAGE<VERSION` for every package of that source.
fn range_of(range: &str) -> anyhow::Result<serde_json::Value> {
    let (name, fixed) = range.split_once('<').with_context(|| {
        format!("{range:?} is no range: write PACKAGE<VERSION, such as 'openssl<3.0.22-1'")
    })?;
    let (name, fixed) = (name.trim(), fixed.trim());
    Ok(match name.strip_prefix("source:") {
        Some(source) => json!({ "source": source, "fixed": fixed }),
        None => json!({ "package": name, "fixed": fixed }),
    })
}
