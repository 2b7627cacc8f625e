//! `patchyard audit`: who did what, a checkpoint to keep elsewhere, and following the chains from their beginning. Everything is
//! reckoned here from the records themselves: the server is asked for them and believed in nothing.

use super::args::Audit;
use super::client::{ApiError, Client};
use super::{Asker, columns, json};
use anyhow::{Context, anyhow, bail};
use domain::digest::Sha256Digest;
use serde_json::{Value, json as value};
use server::app::audit::checkpoint::{CheckpointView, KeptView, Statement};
use server::app::audit::examine::{self, Examined, Step, Walked};
use server::app::audit::verify::{ChainedView, Head, Owner};
use std::fs;
use std::io::Read;
use std::path::Path;
use ureq::tls::Certificate;

/// The longest anchor that is read, in bytes.
const LONGEST_ANCHOR: u64 = 64 * 1024 * 1024;
/// Records that are asked for at a time.
const PAGE: &str = "1000";

/// The audit trail.
///
/// # Errors
/// The server refuses, or a chain does not hold.
pub fn run(asker: &Asker, command: &Audit) -> anyhow::Result<String> {
    match command {
        Audit::List { limit } => {
            let path = format!("{}/audit-records", asker.place()?);
            let records = asker.client.list(&path, &[], *limit)?;
            asker.show_list(&records, columns::AUDIT, "Nothing was done yet.")
        }
        Audit::Checkpoint => {
            let checkpoint = asker.client.get("/api/v1/audit/checkpoint", &[])?;
            read_checkpoint(&checkpoint)?
                .verify(&[believed(&asker.client)?])
                .context("believe the server's checkpoint")?;
            json(&checkpoint)
        }
        Audit::Verify { anchor, authority } => {
            let anchor = anchor
                .as_deref()
                .map(|file| read_anchor(&asker.client, file, authority.as_deref()))
                .transpose()?;
            let found = Examination::of(asker, anchor)?;
            asker.say(&found.to_json(), &found.sentences())
        }
    }
}

fn read_checkpoint(text: &Value) -> anyhow::Result<CheckpointView> {
    serde_json::from_value(text.clone()).context("read the checkpoint")
}

/// The authority by which this server is believed.
fn believed(client: &Client) -> anyhow::Result<Sha256Digest> {
    let root = Certificate::from_pem(client.root_pem().as_bytes()).context("read the kept authority")?;
    Ok(content::sha256(root.der()))
}

fn read_anchor(client: &Client, file: &Path, authority: Option<&str>) -> anyhow::Result<Statement> {
    let mut text = String::new();
    fs::File::open(file)
        .and_then(|file| file.take(LONGEST_ANCHOR).read_to_string(&mut text))
        .with_context(|| format!("read the anchor {}", file.display()))?;
    let anchor: CheckpointView = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no checkpoint of `patchyard audit checkpoint`",
            file.display()
        )
    })?;
    let pin = match authority {
        Some(text) => {
            let plain = text.to_ascii_lowercase().replace([':', ' '], "");
            plain
                .parse()
                .map_err(|_| anyhow!("--authority is 64 hexadecimal digits"))?
        }
        None => believed(client)?,
    };
    anchor.verify(&[pin]).with_context(|| {
        let named = anchor.authorities().unwrap_or_default();
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        format!(
            "believe the anchor {}: it names the authority {}; where that is a former one of this server, say so with --authority",
            file.display(),
            named.join(", ")
        )
    })
}

/// What following the chains showed, and by what they were held.
struct Examination {
    found: Examined,
    anchor: Option<Statement>,
    /// The newest checkpoint that the server kept itself.
    kept: Option<Statement>,
}

impl Examination {
    fn of(asker: &Asker, anchor: Option<Statement>) -> anyhow::Result<Self> {
        let client = &asker.client;
        let mut known: Vec<Head> = match &anchor {
            Some(anchor) => anchor.heads()?,
            None => Vec::new(),
        };
        if asker.asking.tenant.is_some() {
            let path = asker.tenant()?;
            let id = path.rsplit('/').next().unwrap_or_default();
            let owner = Owner::Tenant(id.parse().context("read the tenant's id")?);
            let found = examine::one(owner, &known, |owner, step| walk(client, owner, step))?;
            let kept = None;
            return Ok(Self { found, anchor, kept });
        }
        let now = read_checkpoint(&client.get("/api/v1/audit/checkpoint", &[])?)?;
        let pins = [believed(client)?];
        let said = now.verify(&pins).context("believe the server's checkpoint")?;
        known.extend(said.heads()?);
        let mut kept = None;
        for item in client.list("/api/v1/audit/checkpoints", &[], 100_000)? {
            let item: KeptView = serde_json::from_value(item).context("read a kept checkpoint")?;
            let said = item.verify(&now.card, &pins).with_context(|| {
                format!("believe checkpoint {}, which the server kept itself", item.number)
            })?;
            known.extend(said.heads()?);
            kept = kept.or(Some(said));
        }
        let found = examine::all(&known, |owner, step| walk(client, owner, step))?;
        Ok(Self { found, anchor, kept })
    }

    fn to_json(&self) -> Value {
        let text = |statement: &Statement| statement.at.0.to_string();
        value!({
            "holds": true,
            "records": self.found.records(),
            "chains": self.found.chains.len(),
            "removed_tenants": self.found.removed.len(),
            "anchored_at": self.anchor.as_ref().map(text),
            "kept_checkpoint_at": self.kept.as_ref().map(text),
        })
    }

    fn sentences(&self) -> String {
        let counted = |count: u64, one: &str, more: &str| match count {
            1 => one.to_owned(),
            count => format!("{count} {more}"),
        };
        let (records, chains) = (self.found.records(), self.found.chains.len() as u64);
        let mut lines = vec![format!(
            "{} in {}: none is missing or out of place, and each is what its hash says.",
            counted(records, "One record", "records"),
            counted(chains, "one chain", "chains")
        )];
        if !self.found.removed.is_empty() {
            lines.push(format!(
                "{}: the ends of their chains stand in the server's own; their records are in the exports.",
                counted(
                    self.found.removed.len() as u64,
                    "One removed tenant",
                    "removed tenants"
                )
            ));
        }
        if let Some(kept) = &self.kept {
            lines.push(format!(
                "The server's own checkpoints hold everything up to {}: who has the database and not the server's keys has \
                 not rewritten it.",
                kept.at.0
            ));
        }
        match &self.anchor {
            Some(anchor) => lines.push(format!(
                "The anchor of {} holds: what was recorded until then is as it was, whoever owns the server. What came \
                 later is proved by a later anchor.",
                anchor.at.0
            )),
            None => lines.push(
                "Without an anchor from outside this does not prove that whoever owns the server, keys and all, has not \
                 rewritten it from the beginning. Keep one elsewhere: patchyard audit checkpoint > FILE; then verify with \
                 --anchor FILE."
                    .to_owned(),
            ),
        }
        lines.join("\n")
    }
}

/// Hands over the records of a chain, page by page.
fn walk(client: &Client, owner: Owner, step: Step<'_>) -> anyhow::Result<Walked> {
    let path = match owner {
        Owner::Shared => "/api/v1/audit/chain".to_owned(),
        Owner::Tenant(tenant) => format!("/api/v1/tenants/{tenant}/audit/chain"),
    };
    let mut cursor: Option<String> = None;
    loop {
        let mut asked = vec![("limit", PAGE)];
        asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let mut page = match ask_in_turn(client, &path, &asked) {
            Err(ApiError::Refused { status: 404, .. }) => return Ok(Walked::NoSuchChain),
            other => other?,
        };
        let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) else {
            bail!("{path} gave a list without items");
        };
        for item in items {
            let item: ChainedView = serde_json::from_value(item).context("read a record of a chain")?;
            step(&item)?;
        }
        match page.get("next").and_then(Value::as_str).map(str::to_owned) {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => return Ok(Walked::ToTheEnd),
        }
    }
}

/// Asks again when the server says that it was asked too often.
fn ask_in_turn(client: &Client, path: &str, asked: &[(&str, &str)]) -> Result<Value, ApiError> {
    for _ in 0..30 {
        match client.get(path, asked) {
            Err(ApiError::Refused { status: 429, .. }) => pause(),
            other => return other,
        }
    }
    client.get(path, asked)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line waits for its turn; nobody else waits for this thread"
)]
fn pause() {
    std::thread::sleep(std::time::Duration::from_secs(2));
}
