//! `patchyard tenant`, `site`, `user`, `token` and `audit`: who may do what where, and who did what.

use super::args::{Audit, Site, Tenant, Token, User};
use super::{Asker, columns, member, once};
use crate::text::shown;
use serde_json::json;

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
    }
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

/// Users.
///
/// # Errors
/// The server refuses.
pub fn user(asker: &Asker, command: &User) -> anyhow::Result<String> {
    match command {
        User::List => {
            let users = asker.client.list("/api/v1/users", &[], 100_000)?;
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
    }
}

/// Tokens.
///
/// # Errors
/// The server refuses.
pub fn token(asker: &Asker, command: &Token) -> anyhow::Result<String> {
    match command {
        Token::List => {
            let tokens = asker.client.list("/api/v1/tokens", &[], 100_000)?;
            asker.show_list(&tokens, columns::TOKENS, "There are no tokens.")
        }
        Token::Add { name, days, may } => {
            let ends = asker.now + jiff::SignedDuration::from_hours(24 * i64::from(*days));
            let body = json!({ "name": name, "permissions": may, "expires_at": ends.to_string() });
            let token = asker.client.post("/api/v1/tokens", &body, &once())?;
            let secret = shown(member(&token, "secret")?).into_owned();
            asker.say(
                &token,
                &format!("{secret}\nKeep it now: it is not shown again. It ends in {days} days."),
            )
        }
        Token::Revoke { token } => {
            asker.client.delete(&format!("/api/v1/tokens/{token}"), None)?;
            asker.say(&json!({ "revoked": token }), "Revoked.")
        }
    }
}

/// The audit trail.
///
/// # Errors
/// The server refuses, or the chain does not hold.
pub fn audit(asker: &Asker, command: &Audit) -> anyhow::Result<String> {
    let tenant = asker.tenant()?;
    match command {
        Audit::List { limit } => {
            let records = asker
                .client
                .list(&format!("{tenant}/audit-records"), &[], *limit)?;
            asker.show_list(&records, columns::AUDIT, "Nothing was done yet.")
        }
        Audit::Verify => {
            let answer = asker.client.get(&format!("{tenant}/audit/verification"), &[])?;
            let sentence = shown(member(&answer, "sentence")?).into_owned();
            asker.say(&answer, &sentence)
        }
    }
}
