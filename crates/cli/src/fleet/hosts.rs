//! `patchyard host`: who there is, what each host has and misses, and the steps of its life.

use super::args::{AsOf, Format, Host, Standing};
use super::columns;
use super::{Asker, member, once};
use serde_json::{Value, json};

/// Does what was asked.
///
/// # Errors
/// No such host; the server refuses.
pub fn run(asker: &Asker, command: &Host) -> anyhow::Result<String> {
    let tenant = asker.tenant()?;
    match command {
        Host::List {
            site,
            tag,
            name,
            standing,
            limit,
            as_of,
        } => {
            let site = match site {
                Some(name) => Some(site_id(asker, &tenant, name)?),
                None => None,
            };
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(standing.map(|standing| ("standing", word(standing))));
            query.extend(site.as_deref().map(|site| ("site", site)));
            query.extend(tag.as_deref().map(|tag| ("tag", tag)));
            query.extend(name.as_deref().map(|name| ("name", name)));
            let moment = moment(as_of);
            query.extend(moment.as_deref().map(|moment| ("as_of", moment)));
            let mut hosts = asker.client.list(&format!("{tenant}/hosts"), &query, *limit)?;
            name_sites(asker, &tenant, &mut hosts)?;
            asker.show_list(
                &hosts,
                columns::HOSTS,
                "There are no such hosts. `patchyard enrol` adds one.",
            )
        }
        Host::Show { host, as_of } => {
            let path = path(asker, &tenant, host)?;
            let moment = moment(as_of);
            let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
            let mut host = asker.client.get(&path, &query)?;
            name_sites(asker, &tenant, std::slice::from_mut(&mut host))?;
            host["facts"] = match asker.client.get(&format!("{path}/facts"), &query) {
                Ok(mut facts) => facts["document"].take(),
                Err(error) if error.is_not_found() => Value::Null,
                Err(error) => return Err(error.into()),
            };
            asker.show_one(&host, columns::HOST)
        }
        Host::Packages { host, as_of } => {
            let path = path(asker, &tenant, host)?;
            let moment = moment(as_of);
            let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
            let known = asker.client.get(&format!("{path}/packages"), &query)?;
            let packages = known["document"]["packages"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            asker.show_list(&packages, columns::PACKAGES, "Nothing is known to be installed.")
        }
        Host::Findings { host, as_of } => findings(asker, &tenant, host, as_of),
        Host::History { host } => {
            let path = path(asker, &tenant, host)?;
            let documents = asker.client.list(&format!("{path}/history"), &[], 10_000)?;
            asker.show_list(&documents, columns::HISTORY, "Nothing is known of it yet.")
        }
        Host::Changes { host, limit } => {
            let path = path(asker, &tenant, host)?;
            let changes = asker.client.list(&format!("{path}/changes"), &[], *limit)?;
            asker.show_list(
                &changes,
                columns::CHANGES,
                "No change of a package is known: the logs of the host are empty, or it has not reported yet.",
            )
        }
        Host::Approve { host } => {
            let path = path(asker, &tenant, host)?;
            let answer = asker
                .client
                .post(&format!("{path}/approve"), &json!({}), &once())?;
            said(asker, &answer, host, "is in.")
        }
        Host::Retire { host } => {
            let path = path(asker, &tenant, host)?;
            let etag = asker.client.get_tagged(&path)?.etag;
            asker.client.delete(&path, etag.as_deref())?;
            said(
                asker,
                &json!({ "retired": host }),
                host,
                "is retired; its history stays.",
            )
        }
        Host::Move {
            host,
            site,
            to_tenant: Some(name),
        } => {
            let path = path(asker, &tenant, host)?;
            let tenant = asker.find("/api/v1/tenants", &[], "tenant", name)?;
            let tenant = member(&tenant, "id")?;
            let site = site_id(asker, &format!("/api/v1/tenants/{tenant}"), site)?;
            let wish = json!({ "tenant": tenant, "site": site });
            let answer = asker.client.post(&format!("{path}/move"), &wish, &once())?;
            said(
                asker,
                &answer,
                host,
                "is moved; its history stays with the old tenant.",
            )
        }
        Host::Move { host, site, .. } => {
            let path = path(asker, &tenant, host)?;
            let site = site_id(asker, &tenant, site)?;
            let etag = asker.client.get_tagged(&path)?.etag.unwrap_or_default();
            let answer = asker.client.patch(&path, &etag, &json!({ "site": site }))?;
            said(asker, &answer, host, "is moved.")
        }
        Host::Merge { host, with } => {
            let path = path(asker, &tenant, host)?;
            let former = id(asker, &tenant, with)?;
            let answer =
                asker
                    .client
                    .post(&format!("{path}/merge"), &json!({ "former": former }), &once())?;
            said(asker, &answer, host, "has both histories now.")
        }
    }
}

/// What a host misses and what nobody can speak for.
pub fn findings(asker: &Asker, tenant: &str, host: &str, as_of: &AsOf) -> anyhow::Result<String> {
    let path = path(asker, tenant, host)?;
    let moment = moment(as_of);
    let query: Vec<(&str, &str)> = moment.iter().map(|moment| ("as_of", moment.as_str())).collect();
    let found = asker.client.get(&format!("{path}/findings"), &query)?;
    let format = asker.asking.format();
    if format == Format::Json {
        return super::json(&found);
    }
    let mut packages = found["packages"].as_array().cloned().unwrap_or_default();
    // What is urgent first, each in the order of the API.
    packages.sort_by_key(|package| package["classification"] != "security");
    let mut text = asker.show_list(
        &packages,
        columns::HOST_FINDINGS,
        "It is not known to miss anything.",
    )?;
    let holes = found["not_assessed"].as_array().into_iter().flatten();
    for hole in holes
        .filter_map(Value::as_str)
        .filter(|_| format == Format::People)
    {
        text.push_str(&format!(
            "{}: {}\n",
            asker.style.warn("NOT ASSESSED"),
            crate::text::shown(hole)
        ));
    }
    Ok(text)
}

/// Puts the names of sites beside their ids.
pub fn name_sites(asker: &Asker, tenant: &str, hosts: &mut [Value]) -> anyhow::Result<()> {
    let sites = asker.client.list(&format!("{tenant}/sites"), &[], 100_000)?;
    for host in hosts {
        let name = sites
            .iter()
            .find(|site| site["id"] == host["site"])
            .map(|site| site["name"].clone());
        host["site_name"] = name.unwrap_or(Value::Null);
    }
    Ok(())
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::UpToDate => "up_to_date",
        Standing::UpdatesMissing => "updates_missing",
        Standing::Unknown => "unknown",
    }
}

/// A moment as the API takes it.
pub fn moment(as_of: &AsOf) -> Option<String> {
    as_of.as_of.map(|moment| moment.to_string())
}

/// The id of a host by its name or id.
///
/// # Errors
/// There is none, or there are several.
pub fn id(asker: &Asker, tenant: &str, host: &str) -> anyhow::Result<String> {
    if super::is_id(host) {
        return Ok(host.to_owned());
    }
    let found = asker.find(&format!("{tenant}/hosts"), &[("name", host)], "host", host)?;
    Ok(member(&found, "id")?.to_owned())
}

/// The path of a host by its name or id.
///
/// # Errors
/// There is none, or there are several.
pub fn path(asker: &Asker, tenant: &str, host: &str) -> anyhow::Result<String> {
    Ok(format!("{tenant}/hosts/{}", id(asker, tenant, host)?))
}

fn site_id(asker: &Asker, tenant: &str, site: &str) -> anyhow::Result<String> {
    let found = asker.find(&format!("{tenant}/sites"), &[], "site", site)?;
    Ok(member(&found, "id")?.to_owned())
}

fn said(asker: &Asker, answer: &Value, host: &str, sentence: &str) -> anyhow::Result<String> {
    let name = answer["name"].as_str().unwrap_or(host);
    asker.say(answer, &format!("{} {sentence}", crate::text::shown(name)))
}
