//! `patchyard tenant`, `site`, `user` and `token`: who may do what where.

use super::args::{Format, Site, Tenant, Token, User};
use super::client::ApiError;
use super::{Asker, columns, member, once};
use crate::text::shown;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// No last line of an export is longer, in bytes.
const LAST_LINE: u64 = 4096;

/// Tenants.
///
/// # Errors
/// The server refuses.
pub fn tenant(asker: &Asker, command: &Tenant) -> anyhow::Result<String> {
    match command {
        Tenant::List => {
            let tenants = asker.client.list("/api/v1/tenants", &[], 100_000)?;
            asker.show_list(
                &tenants,
                columns::TENANTS,
                "There are no tenants. `patchyard tenant add NAME` makes one.",
            )
        }
        Tenant::Add { name } => {
            let tenant = asker
                .client
                .post("/api/v1/tenants", &json!({ "name": name }), &once())?;
            asker.say(&tenant, &format!("Made the tenant {}.", shown(name)))
        }
        Tenant::Suspend { name } => set_state(asker, name, "suspended"),
        Tenant::Resume { name } => set_state(asker, name, "active"),
        Tenant::Export { name, output } => {
            let path = format!("{}/export", tenant_path(asker, name)?);
            let (mut bytes, mut file) = (0_u64, create_new(output)?);
            asker.client.download(&path, &mut |piece| {
                bytes += piece.len() as u64;
                file.write_all(piece)
            })?;
            file.sync_all()
                .with_context(|| format!("write {}", output.display()))?;
            drop(file);
            let end = last_line(output)?;
            let sentence = format!(
                "Wrote {} rows, {bytes} bytes, to {}.",
                end["end"]["rows"],
                output.display()
            );
            asker.say(&end, &sentence)
        }
        Tenant::Remove { name, export } => {
            let exported = last_line(export)?;
            let body = json!({ "name": name, "exported": exported["end"]["chain_hash"] });
            let path = format!("{}/remove", tenant_path(asker, name)?);
            let gone = asker.client.post(&path, &body, &once())?;
            asker.say(
                &gone,
                &format!(
                    "Removed the tenant {}; its rows go in the background.",
                    shown(name)
                ),
            )
        }
    }
}

fn tenant_path(asker: &Asker, name: &str) -> anyhow::Result<String> {
    let tenant = asker.find("/api/v1/tenants", &[], "tenant", name)?;
    Ok(format!("/api/v1/tenants/{}", member(&tenant, "id")?))
}

fn set_state(asker: &Asker, name: &str, state: &str) -> anyhow::Result<String> {
    let path = tenant_path(asker, name)?;
    let etag = asker.client.get_tagged(&path)?.etag.unwrap_or_default();
    let tenant = asker.client.patch(&path, &etag, &json!({ "state": state }))?;
    asker.say(&tenant, &format!("The tenant {} is {state}.", shown(name)))
}

fn create_new(path: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("make {}", path.display()))
}

/// The last line of an export: without it the export was cut off.
fn last_line(path: &Path) -> anyhow::Result<Value> {
    let failed = || format!("read {}", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let length = file.metadata().with_context(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINE)))
        .with_context(failed)?;
    let mut text = Vec::new();
    file.take(LAST_LINE).read_to_end(&mut text).with_context(failed)?;
    let lines = text
        .strip_suffix(b"\n")
        .and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let last = lines.and_then(|line| serde_json::from_slice::<Value>(line).ok());
    last.filter(|line| line["end"]["chain_hash"].is_string())
        .with_context(|| format!("{} is no whole export of a tenant: take it again", path.display()))
}

/// Sites.
///
/// # Errors
/// The server refuses.
pub fn site(asker: &Asker, command: &Site) -> anyhow::Result<String> {
    let sites = format!("{}/sites", asker.tenant()?);
    match command {
        Site::List => {
            let items = asker.client.list(&sites, &[], 100_000)?;
            asker.show_list(
                &items,
                columns::SITES,
                "There are no sites. `patchyard site add NAME` makes one.",
            )
        }
        Site::Add { name } => {
            let site = asker.client.post(&sites, &json!({ "name": name }), &once())?;
            asker.say(&site, &format!("Made the site {}.", shown(name)))
        }
    }
}

/// Users: of the tenant that was named, or else the server's own.
///
/// # Errors
/// The server refuses.
pub fn user(asker: &Asker, command: &User) -> anyhow::Result<String> {
    match command {
        User::List => {
            let users = asker
                .client
                .list(&format!("{}/users", asker.place()?), &[], 100_000)?;
            asker.show_list(
                &users,
                columns::USERS,
                "There are no users. `patchyard user link` prints how the first one logs in.",
            )
        }
        User::Link => {
            let link = asker.client.post("/api/v1/log-in-links", &json!({}), &once())?;
            let url = format!("{}{}", asker.client.url(), member(&link, "path")?);
            asker.say(
                &link,
                &format!("Open this once, within 30 minutes:\n  {}", shown(&url)),
            )
        }
        User::Person { user } => {
            let user = asker.find("/api/v1/users", &[], "user", user)?;
            let path = format!("/api/v1/users/{}/person", member(&user, "id")?);
            ensure!(asker.asking.format() != Format::Csv, ApiError::NoList);
            super::json(&asker.client.get(&path, &[])?)
        }
        User::Erase { user: name } => {
            let user = asker.find("/api/v1/users", &[], "user", name)?;
            let path = format!("/api/v1/users/{}/person", member(&user, "id")?);
            let left = asker.client.post(&path, &json!({ "name": name }), &once())?;
            asker.say(&left, &format!("Erased {}.", shown(name)))
        }
    }
}

/// Tokens: of the tenant that was named, or else of the server as a whole.
///
/// # Errors
/// The server refuses.
pub fn token(asker: &Asker, command: &Token) -> anyhow::Result<String> {
    let tokens = format!("{}/tokens", asker.place()?);
    match command {
        Token::List => {
            let items = asker.client.list(&tokens, &[], 100_000)?;
            asker.show_list(&items, columns::TOKENS, "There are no tokens.")
        }
        Token::Add { name, days, may } => {
            let ends = asker.now + jiff::SignedDuration::from_hours(24 * i64::from(*days));
            let body = json!({ "name": name, "permissions": may, "expires_at": ends.to_string() });
            let token = asker.client.post(&tokens, &body, &once())?;
            let secret = shown(member(&token, "secret")?).into_owned();
            asker.say(
                &token,
                &format!("{secret}\nKeep it now: it is not shown again. It ends in {days} days."),
            )
        }
        Token::Revoke { token } => {
            let found = asker.find(&tokens, &[], "token", token)?;
            let etag = format!("\"v{}\"", found["version"].as_i64().unwrap_or(0));
            let path = format!("{tokens}/{}", member(&found, "id")?);
            asker.client.delete(&path, Some(&etag))?;
            asker.say(&json!({ "revoked": token }), "Revoked.")
        }
    }
}
