//! Keeping a server running: what is wrong with it, its backups, restoring one, and copying its database. The last two
//! need no running server.

use super::args::{Backup, Database, Format, Restore};
use super::table::{Column, Shape, bytes, column, text};
use super::{Asker, Done, json, member, once, said};
use crate::exit;
use crate::progress::Progress;
use crate::text::{Style, grouped, shown};
use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::{Value, json as object};
use server::clock::SystemChance;
use server::operations::{backup as backups, copy};
use std::fmt::Write;
use std::future::Future;

/// `backup list`
const BACKUPS: &[Column] = &[
    column("begun", "/started_at", Shape::Moment),
    column("outcome", "/outcome", Shape::Standing),
    column("size", "/size_bytes", Shape::Bytes),
    text("why", "/reason"),
    text("where", "/place"),
];

/// `doctor --csv`
const CHECKS: &[Column] = &[
    column("state", "/state", Shape::Standing),
    text("what", "/sentence"),
    text("next step", "/next_step"),
];

/// Asks the server how it does.
///
/// # Errors
/// It cannot be asked.
pub fn doctor(asker: &Asker) -> anyhow::Result<Done> {
    let answer = asker.client.get("/api/v1/doctor", &[])?;
    let Some(checks) = answer["checks"].as_array() else {
        bail!("the server's answer has no checks: is it a newer version than this program?");
    };
    let text = match asker.asking.format() {
        Format::Json => json(&answer)?,
        Format::Csv => asker.show_list(checks, CHECKS, "")?,
        Format::People => told(checks, asker.style),
    };
    Ok(Done {
        text,
        exit_code: exit_code(checks),
    })
}

/// The worst decides; a state that this program does not know is none that is well.
fn exit_code(checks: &[Value]) -> u8 {
    let codes = checks.iter().map(|check| match check["state"].as_str() {
        Some("ok") => exit::DONE,
        Some("warning") => exit::FOUND,
        _ => exit::UNSURE,
    });
    codes.max().unwrap_or(exit::UNSURE)
}

/// A line a check, and below it what to do.
fn told(checks: &[Value], style: Style) -> String {
    let mut out = String::new();
    for check in checks {
        let word = |name: &str| shown(check[name].as_str().unwrap_or_default()).into_owned();
        let state = format!("{:8}", word("state"));
        let state = match check["state"].as_str() {
            Some("ok") => style.good(&state),
            Some("warning") => style.warn(&state),
            _ => style.alarm(&state),
        };
        let _ = writeln!(out, "{state} {}", word("sentence"));
        if !word("next_step").is_empty() {
            let _ = writeln!(out, "         {} {}", style.arrow, word("next_step"));
        }
    }
    out
}

/// Makes, lists or verifies backups.
///
/// # Errors
/// The server refuses, or a backup is not whole.
pub fn backup(
    asker: impl FnOnce() -> anyhow::Result<Asker>,
    command: &Backup,
    format: Format,
    now: Timestamp,
) -> anyhow::Result<String> {
    match command {
        Backup::Create {
            name,
            content,
            with_master_key,
        } => {
            let asker = asker()?;
            let name = name.clone().unwrap_or_else(|| usual_name(now));
            let wish = object!({ "name": name, "content": content, "master_key": with_master_key });
            let made = asker.client.post("/api/v1/backups", &wish, &once())?;
            let size = bytes(made["size_bytes"].as_u64().unwrap_or(0));
            let place = shown(member(&made, "place")?).into_owned();
            let mut sentence = format!("Made and verified {place} ({size}). Keep it on another machine.");
            sentence.push_str(match with_master_key {
                true => " Whoever has it can be this server: keep it locked away.",
                false => " Without keys/master.key of the data folder it cannot be restored: keep that elsewhere too.",
            });
            asker.say(&made, &sentence)
        }
        Backup::List => {
            let asker = asker()?;
            let items = asker.client.list("/api/v1/backups", &[], 1000)?;
            asker.show_list(
                &items,
                BACKUPS,
                "There is no backup: `patchyard backup create` makes one.",
            )
        }
        Backup::Verify { folder } => {
            let _progress = Progress::begin("holding every file against the manifest");
            let backup = backups::verify(folder)?;
            verified(&backup, format)
        }
    }
}

fn verified(backup: &backups::Backup, format: Format) -> anyhow::Result<String> {
    let manifest = &backup.manifest;
    let sentence = format!(
        "{} is whole: made at {} by version {}, {} files, {} rows, {}.",
        shown(&backup.folder.display().to_string()),
        shown(&manifest.made_at),
        shown(&manifest.version),
        grouped(manifest.files.len()),
        manifest.rows,
        bytes(backup.size_bytes),
    );
    let answer = object!({
        "folder": backup.folder.display().to_string(),
        "is_whole": true,
        "made_at": manifest.made_at,
        "version": manifest.version,
        "files": manifest.files.len(),
        "rows": manifest.rows,
        "size_bytes": backup.size_bytes,
    });
    said(format, &answer, &sentence)
}

/// A name by the time, to the second.
fn usual_name(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H%M%SZ").to_string()
}

/// Makes a data folder of a backup.
///
/// # Errors
/// The backup is not whole, its master key is missing, or the folder is in use.
pub fn restore(restore: &Restore, now: Timestamp) -> anyhow::Result<String> {
    let chance = SystemChance::default();
    let request = backups::Restore {
        backup: &restore.backup,
        data: &restore.data,
        master_key: restore.master_key.as_deref(),
    };
    let progress = Progress::begin("verifying the backup and filling the data folder");
    let restored = wait_for(backups::restore(request, now, &chance))??;
    drop(progress);
    let data = shown(&restore.data.display().to_string()).into_owned();
    let sentence = format!(
        "Restored what the backup of {} holds into {data}, with {} files of content; the server's life number {} begins.\n\
         Start it with `patchyard up --data {data}`. Hosts find it again by themselves where they know its address.",
        shown(&restored.made_at),
        restored.content_files,
        restored.epoch,
    );
    let answer = object!({
        "data": restore.data.display().to_string(),
        "made_at": restored.made_at,
        "content_files": restored.content_files,
        "epoch": restored.epoch,
    });
    said(restore.answering.format(), &answer, &sentence)
}

/// Copies a database, and says what arrived.
///
/// # Errors
/// Either cannot be used, the target is not empty, or what arrived differs.
pub fn database(command: &Database, now: Timestamp) -> anyhow::Result<String> {
    let Database::Copy { from, to, answering } = command;
    let progress = Progress::begin("copying every row, then comparing both databases");
    let tables = wait_for(copy::copy(from, to, now))??;
    drop(progress);
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let items: Vec<Value> = tables
        .iter()
        .map(
            |table| object!({ "table": table.table, "rows": table.rows, "digest": table.digest.to_string() }),
        )
        .collect();
    let mut out = String::new();
    for table in &tables {
        let _ = writeln!(out, "{:24} {:>12}  {}", table.table, table.rows, table.digest);
    }
    let _ = write!(out, "Copied and compared {rows} rows of {} tables.", tables.len());
    said(
        answering.format(),
        &object!({ "rows": rows, "tables": items }),
        &out,
    )
}

fn wait_for<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .enable_all()
        .build()
        .context("start the program's threads")?;
    Ok(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::super::args::Answering;
    use super::*;
    use crate::args::Colour;

    fn checks(states: &[&str]) -> Vec<Value> {
        states
            .iter()
            .map(|state| object!({ "state": state, "sentence": "It is so.", "next_step": "Do this." }))
            .collect()
    }

    #[test]
    fn the_worst_check_decides_the_exit_code_and_an_unknown_state_is_not_well() {
        assert_eq!(exit_code(&checks(&["ok", "ok"])), 0);
        assert_eq!(exit_code(&checks(&["warning", "ok"])), 3);
        assert_eq!(exit_code(&checks(&["ok", "failed", "warning"])), 4);
        assert_eq!(exit_code(&checks(&["of a later version"])), 4);
        assert_eq!(exit_code(&[]), 4, "a server that looks at nothing says nothing");
    }

    #[test]
    fn a_check_is_told_with_its_next_step_and_without_control_characters() {
        let hostile =
            [object!({ "state": "failed", "sentence": "The \u{1b}[2J disk.", "next_step": "Make room." })];
        let text = told(&hostile, Style::new(Colour::Never, |_| None));
        assert!(text.starts_with("failed   The \\u{1b}[2J disk.\n"), "{text}");
        assert!(text.ends_with("Make room.\n"), "{text}");
    }

    #[test]
    fn the_usual_name_of_a_backup_is_one_that_the_server_takes() {
        let name = usual_name("2026-01-02T03:04:05Z".parse().expect("a moment"));
        assert_eq!(name, "2026-01-02T030405Z");
    }

    #[test]
    fn a_database_is_copied_with_its_counts_and_one_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let copy = |from: &str, to: &str| {
            let command = Database::Copy {
                from: url(from),
                to: url(to),
                answering: Answering::default(),
            };
            database(&command, Timestamp::UNIX_EPOCH)
        };
        assert!(copy("absent.db", "b.db").is_err());
        assert!(!folder.path().join("absent.db").exists());
        let settings = server::Settings::defaults_in(&folder.path().join("data"));
        let opened = wait_for(async {
            let context = server::Server::open(settings, server::start::Ports::default()).await?;
            context.db.close().await;
            Ok::<_, server::start::StartError>(())
        });
        opened.expect("a runtime").expect("a server's database");
        let text = copy("data/patchyard.db", "copy.db").expect("copied");
        assert!(text.lines().any(|line| line.starts_with("roles ")), "{text}");
        let again = copy("copy.db", "third.db").expect("a copy can be copied");
        let rows = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with("schema_version"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(rows(&text), rows(&again));
        assert!(
            copy("data/patchyard.db", "copy.db").is_err(),
            "the target is not empty"
        );
    }
}
