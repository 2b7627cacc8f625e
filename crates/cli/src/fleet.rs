//! Asking a server: every command that lists, shows or changes what a server keeps. Each becomes one or a few requests to
//! its API; people get tables, programs the API's own JSON.

pub mod args;
pub mod client;
mod columns;
mod enrol;
mod hosts;
pub mod login;
pub mod operations;
mod people;
mod sources;
mod storage;
pub mod table;
pub mod target;
mod updates;

use crate::place::Variables;
use crate::text::{Style, shown_json};
use anyhow::{Context, bail};
use args::{Asking, FleetCommand};
use client::Client;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write;
use table::Column;

/// What every command works with.
pub struct Asker {
    /// The server.
    pub client: Client,
    /// What was said on the command line.
    pub asking: Asking,
    /// How output looks.
    pub style: Style,
    /// The present.
    pub now: Timestamp,
}

/// Does what the command line says and gives what is to be printed.
///
/// # Errors
/// There is no server, it cannot be reached, or it refuses.
pub fn run(
    command: &FleetCommand,
    variables: &Variables<'_>,
    style: Style,
    now: Timestamp,
) -> anyhow::Result<String> {
    let asker = |asking: &Asking| Asker::new(asking, variables, style, now);
    match command {
        FleetCommand::Host(host) => hosts::run(&asker(&host.asking)?, &host.command),
        FleetCommand::Update(update) => updates::update(&asker(&update.asking)?, &update.command),
        FleetCommand::Finding(finding) => updates::finding(&asker(&finding.asking)?, &finding.command),
        FleetCommand::AtRisk(at_risk) => updates::at_risk(&asker(&at_risk.asking)?, &at_risk.command),
        FleetCommand::Source(source) => sources::run(&asker(&source.asking)?, &source.command),
        FleetCommand::Tenant(tenant) => people::tenant(&asker(&tenant.asking)?, &tenant.command),
        FleetCommand::Site(site) => people::site(&asker(&site.asking)?, &site.command),
        FleetCommand::User(user) => people::user(&asker(&user.asking)?, &user.command),
        FleetCommand::Token(token) => people::token(&asker(&token.asking)?, &token.command),
        FleetCommand::Audit(audit) => people::audit(&asker(&audit.asking)?, &audit.command),
        FleetCommand::Storage(storage) => storage::run(&asker(&storage.asking)?, &storage.command),
        FleetCommand::Doctor(doctor) => Ok(operations::doctor(&asker(&doctor.asking)?)?.text),
        FleetCommand::Backup(backup) => operations::backup(|| asker(&backup.asking), &backup.command, now),
        FleetCommand::Restore(restore) => operations::restore(restore, now),
        FleetCommand::Db { command } => operations::database(command, now),
        FleetCommand::Enrol(enrol) => enrol::run(&asker(&enrol.asking)?, &enrol.command),
    }
}

impl Asker {
    /// Finds the server and gets ready to ask it.
    ///
    /// # Errors
    /// There is none, or what is kept of it cannot be read.
    pub fn new(
        asking: &Asking,
        variables: &Variables<'_>,
        style: Style,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let data = variables.data(asking.data.as_deref())?;
        let target = target::target(asking.server.as_deref(), &data, variables)?;
        Ok(Self {
            client: Client::new(target)?,
            asking: asking.clone(),
            style,
            now,
        })
    }

    /// The path of the tenant that is asked about: the one named, or the only one.
    ///
    /// # Errors
    /// There are several and none is named, or none of that name.
    pub fn tenant(&self) -> anyhow::Result<String> {
        let tenants = self.client.list("/api/v1/tenants", &[], 1000)?;
        let named = self.asking.tenant.as_deref();
        let fits = |tenant: &&Value| named.is_none_or(|name| is_called(tenant, name));
        let mut fitting = tenants.iter().filter(fits);
        match (fitting.next(), fitting.next(), named) {
            (Some(tenant), None, _) => Ok(format!("/api/v1/tenants/{}", member(tenant, "id")?)),
            (None, _, Some(name)) => bail!("there is no tenant {name:?}; `patchyard tenant list` shows them"),
            (None, _, None) => bail!("there is no tenant yet: `patchyard tenant add NAME` makes one"),
            (Some(_), Some(_), _) => {
                let names: Vec<&str> = tenants
                    .iter()
                    .filter_map(|tenant| tenant["name"].as_str())
                    .collect();
                bail!(
                    "there are several tenants ({}): name one with --tenant",
                    names.join(", ")
                )
            }
        }
    }

    /// The item of a list that has this name or id.
    ///
    /// # Errors
    /// None has, or several have.
    pub fn find(&self, list: &str, query: &[(&str, &str)], noun: &str, name: &str) -> anyhow::Result<Value> {
        let items = self.client.list(list, query, 100_000)?;
        let mut fitting = items.into_iter().filter(|item| is_called(item, name));
        match (fitting.next(), fitting.next()) {
            (Some(item), None) => Ok(item),
            (None, _) => bail!("there is no {noun} {name:?}; `patchyard {noun} list` shows them"),
            (Some(_), Some(_)) => bail!("several {noun}s are called {name:?}: name one by its id"),
        }
    }

    /// A list, as a table or as JSON.
    pub fn show_list(&self, items: &[Value], columns: &[Column], none: &str) -> anyhow::Result<String> {
        if self.asking.json {
            return json(&Value::Array(items.to_vec()));
        }
        Ok(table::render(items, columns, none, self.now, self.style))
    }

    /// One thing, as lines or as JSON.
    pub fn show_one(&self, item: &Value, columns: &[Column]) -> anyhow::Result<String> {
        if self.asking.json {
            return json(item);
        }
        Ok(table::card(item, columns, self.now, self.style))
    }

    /// What was done: a sentence for people, the answer for programs.
    pub fn say(&self, answer: &Value, sentence: &str) -> anyhow::Result<String> {
        if self.asking.json {
            return json(answer);
        }
        let mut text = String::new();
        let _ = writeln!(text, "{sentence}");
        Ok(text)
    }
}

/// JSON as it is printed, ending in a newline.
pub fn json(value: &Value) -> anyhow::Result<String> {
    Ok(shown_json(serde_json::to_string_pretty(value)?) + "\n")
}

fn is_called(item: &Value, name: &str) -> bool {
    item["id"].as_str() == Some(name) || item["name"].as_str() == Some(name)
}

/// A text member that the API promises.
///
/// # Errors
/// It is not there.
pub fn member<'a>(item: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    item[name].as_str().with_context(|| {
        format!("the server's answer has no {name:?}: is it a newer version than this program?")
    })
}

/// A key that makes a repeated request harmless (Idempotency-Key): 128 bits of chance.
pub fn once() -> String {
    use ring::rand::SecureRandom;
    let mut bytes = [0_u8; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
