//! `patchyard storage`: what takes room, how long the disk will do, and removing what nothing refers to.

use super::args::{Format, Storage};
use super::table::{Column, Shape, bytes, column, text};
use super::{Asker, columns, once};
use serde_json::json;

/// `storage gc --dry-run`
const GONE: &[Column] = &[
    text("what", "/kind"),
    column("size", "/bytes", Shape::Bytes),
    column("digest", "/digest", Shape::Text),
];

/// Does what was asked.
///
/// # Errors
/// The server refuses.
pub fn run(asker: &Asker, command: &Storage) -> anyhow::Result<String> {
    match command {
        Storage::Show => {
            let storage = asker.client.get("/api/v1/storage", &[])?;
            if asker.asking.format() == Format::Json {
                return super::json(&storage);
            }
            let causes = storage["causes"].as_array().cloned().unwrap_or_default();
            let mut text = asker.show_list(&causes, columns::STORAGE, "Nothing takes room yet.")?;
            if asker.asking.format() == Format::Csv {
                return Ok(text);
            }
            let free = storage["free_bytes"]
                .as_u64()
                .map_or_else(|| "unknown".to_owned(), bytes);
            text.push_str(&match storage["days_left"].as_u64() {
                Some(days) => format!("free: {free}; at this pace the disk is full in {days} days\n"),
                None => format!("free: {free}; it does not fill at a pace that can be told yet\n"),
            });
            Ok(text)
        }
        Storage::Gc { dry_run } => {
            let swept = asker
                .client
                .post("/api/v1/storage/gc", &json!({ "dry_run": dry_run }), &once())?;
            let freed = bytes(swept["bytes"].as_u64().unwrap_or(0));
            let files = swept["files"].as_u64().unwrap_or(0);
            if !dry_run {
                return asker.say(&swept, &format!("freed {freed} of {files} files"));
            }
            let gone = swept["gone"].as_array().cloned().unwrap_or_default();
            let list = || asker.show_list(&gone, GONE, "Everything that is there is needed.");
            match asker.asking.format() {
                Format::Json => super::json(&swept),
                Format::Csv => list(),
                Format::People => Ok(format!("{}would free {freed} of {files} files\n", list()?)),
            }
        }
    }
}
