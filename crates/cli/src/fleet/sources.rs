//! `patchyard source`: where updates come from, and syncing it.

use super::args::Source;
use super::{Asker, columns, once};
use serde_json::json;

const SOURCES: &str = "/api/v1/sources";

/// Does what was asked.
///
/// # Errors
/// No such source; the server refuses.
pub fn run(asker: &Asker, command: &Source) -> anyhow::Result<String> {
    match command {
        Source::List => {
            let sources = asker.client.list(SOURCES, &[], 10_000)?;
            let none = "There are no sources yet: they are proposed when the first host reports what it uses.";
            asker.show_list(&sources, columns::SOURCES, none)
        }
        Source::Show { source } => {
            let source = asker.client.get(&format!("{SOURCES}/{source}"), &[])?;
            asker.show_one(&source, columns::SOURCES)
        }
        Source::Adopt { source } => {
            let answer = asker.client.post(&format!("{SOURCES}/{source}/adopt"), &json!({}), &once())?;
            asker.say(&answer, "Adopted; its first sync begins now.")
        }
        Source::Sync { source } => {
            let sources = match source {
                Some(source) => vec![source.clone()],
                None => asker
                    .client
                    .list(SOURCES, &[("state", "adopted")], 10_000)?
                    .iter()
                    .filter_map(|source| Some(source["id"].as_str()?.to_owned()))
                    .collect(),
            };
            let mut answers = Vec::new();
            for source in &sources {
                answers.push(asker.client.post(&format!("{SOURCES}/{source}/sync"), &json!({}), &once())?);
            }
            let count = crate::text::counted(sources.len(), "source");
            asker.say(&json!(answers), &format!("Syncing {count}; `patchyard source list` shows how it goes."))
        }
    }
}
