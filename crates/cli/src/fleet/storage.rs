//! `patchyard storage`: what takes room, how long the disk will do, and removing what nothing refers to.

use super::args::Storage;
use super::table::bytes;
use super::{Asker, columns, once};
use serde_json::json;

/// Does what was asked.
///
/// # Errors
/// The server refuses.
pub fn run(asker: &Asker, command: &Storage) -> anyhow::Result<String> {
    match command {
        Storage::Show => {
            let storage = asker.client.get("/api/v1/storage", &[])?;
            if asker.asking.json {
                return super::json(&storage);
            }
            let causes = storage["causes"].as_array().cloned().unwrap_or_default();
            let mut text = asker.show_list(&causes, columns::STORAGE, "Nothing takes room yet.")?;
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
            let verb = if *dry_run { "would free" } else { "freed" };
            asker.say(&swept, &format!("{verb} {freed} of {files} files"))
        }
    }
}
