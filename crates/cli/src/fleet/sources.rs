//! `patchyard source`: where updates come from, and syncing it.

use super::args::Source;
use super::{Asker, columns, member, once};
use serde_json::{Value, json};

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
        Source::Adopt { source } => {
            let path = format!("{sources}/{source}");
            let etag = asker.client.get_tagged(&path)?.etag.unwrap_or_default();
            let answer = asker.client.patch(&path, &etag, &json!({ "state": "adopted" }))?;
            asker.say(&answer, "Adopted; its first sync begins now.")
        }
        Source::Sync { source } => {
            let ids = match source {
                Some(source) => vec![source.clone()],
                None => {
                    let adopted = all(asker, &sources, &[("state", "adopted")])?;
                    let ids = adopted.iter().map(|source| Ok(member(source, "id")?.to_owned()));
                    ids.collect::<anyhow::Result<_>>()?
                }
            };
            let mut answers = Vec::new();
            for id in &ids {
                answers.push(
                    asker
                        .client
                        .post(&format!("{sources}/{id}/sync"), &json!({}), &once())?,
                );
            }
            let count = crate::text::counted(ids.len(), "source");
            asker.say(
                &json!(answers),
                &format!("Syncing {count}; `patchyard source list` shows how it goes."),
            )
        }
    }
}

/// The list of sources, which the API gives whole.
fn all(asker: &Asker, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    Ok(asker
        .client
        .get(path, query)?
        .as_array()
        .cloned()
        .unwrap_or_default())
}
