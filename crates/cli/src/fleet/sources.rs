//! `patchyard source`: where updates come from, what opens it, and syncing it.

use super::args::{Access, Add, SetAccess, Source};
use super::{Asker, columns, member, once};
use crate::progress::Progress;
use crate::text::counted;
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, Read};
use std::path::Path;
use std::time::Duration;

/// How often a sync is looked for, and how many times.
const PAUSE: Duration = Duration::from_millis(500);
const PATIENCE: usize = 30 * 120;

/// The longest file that is sent, in bytes: the API takes bodies of 1 MiB.
const LONGEST_FILE: u64 = 700 * 1024;

/// Does what was asked.
///
/// # Errors
/// No such source; the server refuses.
pub fn run(asker: &Asker, command: &Source) -> anyhow::Result<String> {
    let sources = format!("{}/sources", asker.tenant()?);
    match command {
        Source::List => {
            let list = all(asker, &sources, &[])?;
            let none =
                "There are no sources yet: they are proposed when the first host reports what it uses.";
            asker.show_list(&list, columns::SOURCES, none)
        }
        Source::Show { source } => {
            let source = asker.client.get(&format!("{sources}/{source}"), &[])?;
            asker.show_one(&source, columns::SOURCE)
        }
        Source::Add(wanted) => add(asker, &sources, wanted),
        Source::Adopt { source, carried } => {
            let mut change = json!({ "state": "adopted" });
            if *carried {
                change["fetched_by"] = json!("agents");
            }
            let answer = decide(asker, &format!("{sources}/{source}"), &change)?;
            asker.say(&answer, "Adopted; its first sync begins now.")
        }
        Source::Pause { source } => {
            let answer = decide(
                asker,
                &format!("{sources}/{source}"),
                &json!({ "state": "paused" }),
            )?;
            asker.say(
                &answer,
                "Paused: it answers with what it published last, until that is too old.",
            )
        }
        Source::Decline { source } => {
            let answer = decide(
                asker,
                &format!("{sources}/{source}"),
                &json!({ "state": "declined" }),
            )?;
            asker.say(&answer, "Declined: it is not used, and not proposed again.")
        }
        Source::Access(wanted) => set_access(asker, &format!("{sources}/{}", wanted.source), wanted),
        Source::Sync { source, no_wait } => {
            let begun = begin(asker, &sources, source.as_deref())?;
            if *no_wait {
                let count = counted(begun.len(), "source");
                let sentence = format!("Syncing {count}; `patchyard source list` shows how it goes.");
                return asker.say(&json!(begun), &sentence);
            }
            let ended = until_synced(asker, &sources, begun)?;
            let none = "No source is adopted: `patchyard source adopt ID` does that.";
            asker.show_list(&ended, columns::SYNCED, none)
        }
    }
}

/// Changes a source as it stands now.
fn decide(asker: &Asker, path: &str, change: &Value) -> anyhow::Result<Value> {
    let etag = asker.client.get_tagged(path)?.etag.unwrap_or_default();
    Ok(asker.client.patch(path, &etag, change)?)
}

fn add(asker: &Asker, sources: &str, wanted: &Add) -> anyhow::Result<String> {
    let key = read(&wanted.key)?;
    let key = match std::str::from_utf8(&key) {
        Ok(text) if text.contains("-----BEGIN PGP") => text.to_owned(),
        _ => STANDARD.encode(&key),
    };
    let mut body = json!({
        "uri": wanted.uri,
        "suite": wanted.suite,
        "components": wanted.components,
        "architectures": wanted.architectures,
        "key": key,
    });
    if let Some(access) = opening(&wanted.access)? {
        body["access"] = access;
    }
    let progress = Progress::begin("fetching the release file");
    let answer = asker.client.post(sources, &body, &once())?;
    drop(progress);
    let name = crate::text::shown(member(&answer, "name")?).into_owned();
    asker.say(
        &answer,
        &format!("{name} is verified and adopted; its first sync begins now."),
    )
}

fn set_access(asker: &Asker, path: &str, wanted: &SetAccess) -> anyhow::Result<String> {
    let etag = asker.client.get_tagged(path)?.etag;
    let access = format!("{path}/access");
    if wanted.remove {
        asker.client.delete(&access, etag.as_deref())?;
        return asker.say(&json!({ "removed": wanted.source }), "Removed what opened it.");
    }
    let Some(mut body) = opening(&wanted.access)? else {
        bail!(
            "say what opens it: --username with --password-stdin, --client-certificate with --client-key, \
             --authorities; or --remove"
        );
    };
    if let Some(uri) = &wanted.uri {
        body["uri"] = json!(uri);
    }
    let answer = asker.client.patch(&access, &etag.unwrap_or_default(), &body)?;
    asker.say(
        &answer,
        "Set; it is kept sealed and not shown again. `patchyard source sync` tries it.",
    )
}

/// What opens an archive, as the API takes it; none where nothing is given.
fn opening(access: &Access) -> anyhow::Result<Option<Value>> {
    let mut body = serde_json::Map::new();
    if let Some(username) = &access.username {
        body.insert("username".to_owned(), json!(username));
        body.insert("password".to_owned(), json!(password()?));
    }
    for (name, file) in [
        ("client_certificate", &access.client_certificate),
        ("client_key", &access.client_key),
        ("authorities", &access.authorities),
    ] {
        if let Some(file) = file {
            let text = String::from_utf8(read(file)?)
                .with_context(|| format!("{} is no text: give it as PEM", file.display()))?;
            body.insert(name.to_owned(), json!(text));
        }
    }
    Ok((!body.is_empty()).then_some(Value::Object(body)))
}

/// The first line of standard input.
fn password() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST_FILE)
        .read_line(&mut line)
        .context("read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let said = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(said)?;
    file.take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .with_context(said)?;
    if bytes.len() as u64 > LONGEST_FILE {
        bail!("{} is longer than {LONGEST_FILE} bytes", path.display());
    }
    Ok(bytes)
}

/// Asks for syncs: of one source, or of every adopted one.
fn begin(asker: &Asker, sources: &str, source: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let ids = match source {
        Some(source) => vec![source.to_owned()],
        None => {
            let adopted = all(asker, sources, &[("state", "adopted")])?;
            let ids = adopted.iter().map(|source| Ok(member(source, "id")?.to_owned()));
            ids.collect::<anyhow::Result<_>>()?
        }
    };
    let begin = |id: &String| {
        let path = format!("{sources}/{id}/sync");
        asker.client.post(&path, &json!({}), &once())
    };
    Ok(ids.iter().map(begin).collect::<Result<_, _>>()?)
}

/// Waits until each of these has been tried again, and gives them as they are then.
#[expect(
    clippy::disallowed_methods,
    reason = "a person waits for a sync, which is looked for twice a second"
)]
fn until_synced(asker: &Asker, sources: &str, mut waited: Vec<Value>) -> anyhow::Result<Vec<Value>> {
    let progress = Progress::begin("syncing");
    let mut ended: Vec<Value> = Vec::new();
    for _ in 0..PATIENCE {
        let mut open = Vec::new();
        for before in waited {
            let path = format!("{sources}/{}", member(&before, "id")?);
            let after = asker.client.get(&path, &[])?;
            match after["last_sync_at"] != before["last_sync_at"] {
                true => ended.push(after),
                false => open.push(before),
            }
        }
        if open.is_empty() {
            return Ok(ended);
        }
        waited = open;
        let all = ended.len() + waited.len();
        progress.note(&format!(
            "syncing: {} of {} done",
            ended.len(),
            counted(all, "source")
        ));
        std::thread::sleep(PAUSE);
    }
    bail!(
        "{} did not end within {} minutes; `patchyard source list` shows how it goes on",
        counted(waited.len(), "sync"),
        PATIENCE / 120
    )
}

/// All sources.
fn all(asker: &Asker, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    Ok(asker.client.list(path, query, 100_000)?)
}
