//! Asking a server: every command that lists, shows or changes what a server keeps. Each becomes one or a few requests to
//! its API; people get tables, programs the API's own JSON.

mod approver;
pub mod args;
mod audit;
mod authority;
pub mod client;
mod columns;
mod coverage;
mod csv;
mod deploy;
mod enrol;
mod hosts;
pub mod login;
pub mod operations;
mod people;
mod rollouts;
mod sources;
mod storage;
mod support;
pub mod table;
pub mod target;
mod updates;

use crate::exit;
use crate::place::Variables;
use crate::text::Style;
use anyhow::{Context, bail};
use args::{Asking, FleetCommand, Format};
use client::{Client, May};
use domain::text::escaped_json;
pub use enrol::own_address;
use jiff::Timestamp;
use serde_json::Value;
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

/// What a command did.
pub struct Done {
    /// To print.
    pub text: String,
    /// The exit code, of those in [`exit`].
    pub exit_code: u8,
}

impl From<String> for Done {
    fn from(text: String) -> Self {
        Self {
            text,
            exit_code: exit::DONE,
        }
    }
}

/// Finds the server that is meant.
pub type Open<'a> = dyn Fn(&Asking) -> anyhow::Result<Asker> + 'a;

/// Does what the command line says and gives what is to be printed.
///
/// # Errors
/// There is no server, it cannot be reached, or it refuses.
pub fn run(command: &FleetCommand, asker: &Open<'_>, now: Timestamp) -> anyhow::Result<Done> {
    let text = match command {
        FleetCommand::Host(host) => hosts::run(&asker(&host.asking)?, &host.command),
        FleetCommand::Update(update) => updates::update(&asker(&update.asking)?, &update.command),
        FleetCommand::Deploy(wanted) => return deploy::run(&asker(&wanted.asking)?, &wanted.command),
        FleetCommand::Change(change) => return rollouts::change(&asker(&change.asking)?, &change.command),
        FleetCommand::Deployment(deployment) => {
            return rollouts::deployment(&asker(&deployment.asking)?, &deployment.command);
        }
        FleetCommand::Finding(finding) => updates::finding(&asker(&finding.asking)?, &finding.command),
        FleetCommand::Coverage(wanted) => coverage::run(&asker(&wanted.asking)?, &wanted.command),
        FleetCommand::AtRisk(at_risk) => updates::at_risk(&asker(&at_risk.asking)?, &at_risk.command),
        FleetCommand::Source(source) => sources::run(&asker(&source.asking)?, &source.command),
        FleetCommand::Tenant(tenant) => people::tenant(&asker(&tenant.asking)?, &tenant.command),
        FleetCommand::Site(site) => people::site(&asker(&site.asking)?, &site.command),
        FleetCommand::User(user) => people::user(&asker(&user.asking)?, &user.command),
        FleetCommand::Token(token) => people::token(&asker(&token.asking)?, &token.command),
        FleetCommand::Audit(audit) => audit::run(&asker(&audit.asking)?, &audit.command),
        FleetCommand::Authority(wanted) => authority::run(&asker(&wanted.asking)?, &wanted.command),
        FleetCommand::Storage(storage) => storage::run(&asker(&storage.asking)?, &storage.command),
        FleetCommand::SupportBundle(wanted) => support::run(&asker(&wanted.asking)?, &wanted.command),
        FleetCommand::Doctor(doctor) => return operations::doctor(&asker(&doctor.asking)?),
        FleetCommand::Backup(backup) => {
            let format = backup.asking.format();
            operations::backup(|| asker(&backup.asking), &backup.command, format, now)
        }
        FleetCommand::Restore(restore) => operations::restore(restore, now),
        FleetCommand::Db { command } => operations::database(command, now),
        FleetCommand::Enrol(enrol) => enrol::run(&asker(&enrol.asking)?, &enrol.command),
    };
    Ok(text?.into())
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
        let may = match asking.format() {
            Format::People | Format::Json => May::Change,
            Format::Csv => May::Read,
        };
        Ok(Self {
            client: Client::new(target, may)?,
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

    /// The path of the tenant that was named, or of the server as a whole.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn place(&self) -> anyhow::Result<String> {
        match self.asking.tenant {
            Some(_) => self.tenant(),
            None => Ok("/api/v1".to_owned()),
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

    /// A list, as a table, as CSV or as JSON.
    pub fn show_list(&self, items: &[Value], columns: &[Column], none: &str) -> anyhow::Result<String> {
        Ok(match self.asking.format() {
            Format::People => table::render(items, columns, none, self.now, self.style),
            Format::Csv => csv::render(items, columns),
            Format::Json => json(&Value::Array(items.to_vec()))?,
        })
    }

    /// One thing, as lines, as CSV or as JSON.
    pub fn show_one(&self, item: &Value, columns: &[Column]) -> anyhow::Result<String> {
        Ok(match self.asking.format() {
            Format::People => table::card(item, columns, self.now, self.style),
            Format::Csv => csv::render(std::slice::from_ref(item), columns),
            Format::Json => json(item)?,
        })
    }

    /// What was done: a sentence for people, the answer for programs.
    pub fn say(&self, answer: &Value, sentence: &str) -> anyhow::Result<String> {
        said(self.asking.format(), answer, sentence)
    }
}

/// What was done: a sentence for people, the answer for programs.
///
/// # Errors
/// There is no list to print as CSV.
pub fn said(format: Format, answer: &Value, sentence: &str) -> anyhow::Result<String> {
    match format {
        Format::People => Ok(format!("{sentence}\n")),
        Format::Json => json(answer),
        Format::Csv => bail!("this command gives no list: --csv is for lists"),
    }
}

/// JSON as it is printed, ending in a newline.
pub fn json(value: &Value) -> anyhow::Result<String> {
    Ok(escaped_json(&serde_json::to_string_pretty(value)?).into_owned() + "\n")
}

/// Whether this is the id of something, not a name.
fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
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

#[cfg(test)]
mod tests;
