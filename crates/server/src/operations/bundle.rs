//! The support bundle: what somebody who helps wants to see of a server, as a few bounded texts without secrets, and with
//! stand-ins for names and addresses unless they are wanted. Every part is put together from facts that are named here one
//! by one; only logs and error texts are free text, and go through `redact`.

mod facts;
mod known;
mod logs;
mod pattern;
mod redact;

pub use redact::Names;

use crate::Context;
use crate::reconcile::chain;
use redact::Redactor;
use serde_json::{Value, json};
use std::error::Error;
use std::sync::Arc;

/// No file of a bundle is longer, in bytes; a longer one is cut.
pub const LONGEST_FILE: usize = 1 << 20;

/// What a person can look through before it is given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The time at which it was made.
    pub made_at: jiff::Timestamp,
    /// Its files, in the order of names.
    pub files: Vec<BundleFile>,
}

/// One of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// Its name: letters, digits, hyphens, a dot, and at most one slash.
    pub name: &'static str,
    /// Its text: printable ASCII and newlines.
    pub text: String,
    /// Whether something was left out at its end because it would have been too long.
    pub is_cut: bool,
}

/// Why a part could not be told.
type Fault = Box<dyn Error + Send + Sync>;

/// Puts a bundle together. A part that cannot be told says why in its file; it stops no other.
pub async fn collect(ctx: &Context, names: Names, metrics: String) -> Bundle {
    let (redactor, free_text) = known::redactor(ctx, names).await;
    let redactor = Arc::new(redactor);
    let parts: [(&'static str, Result<Value, Fault>); 9] = [
        ("background.json", Ok(facts::background(ctx))),
        ("backups.json", facts::backups(ctx).await),
        ("doctor.json", facts::doctor(ctx).await),
        ("schema.json", facts::schema(ctx).await),
        ("settings.json", Ok(facts::settings(ctx))),
        ("sources.json", facts::sources(ctx, &redactor).await),
        ("storage.json", facts::storage(ctx).await),
        ("tables.json", facts::tables(ctx).await),
        ("versions.json", facts::versions(ctx).await),
    ];
    let mut files: Vec<BundleFile> = parts
        .into_iter()
        .map(|(name, part)| match part {
            Ok(value) => json_file(name, &redactor.value(&value)),
            Err(error) => json_file(name, &json!({ "not_told": redactor.text(&chain(&*error)) })),
        })
        .collect();
    files.push(bounded("metrics.txt", ascii(&metrics)));
    let folder = ctx.settings.data.join("logs");
    for (name, file) in [("logs/agent.log", "agent"), ("logs/server.log", "server")] {
        let (folder, redactor) = (folder.clone(), Arc::clone(&redactor));
        let text = match &free_text {
            Ok(()) => tokio::task::spawn_blocking(move || logs::tail(&folder, file, &redactor))
                .await
                .expect("reading a log does not panic"),
            Err(why) => format!("{{\"not_told\":{}}}\n", Value::String(redactor.text(why))),
        };
        files.push(bounded(name, ascii(&text)));
    }
    files.push(bounded("README.txt", about(&redactor)));
    files.sort_by_key(|file| file.name);
    Bundle {
        made_at: ctx.clock.now(),
        files,
    }
}

fn about(redactor: &Redactor) -> String {
    let names = match redactor.shown() {
        Names::Hidden => {
            "Names and addresses have stand-ins such as host-3f9a1c20b4: the same one for the same name, in every bundle of \
             this server. Which name it is can be told only with the server's master key."
        }
        Names::Shown => "Names and addresses are in it, because whoever made it asked for that.",
    };
    format!(
        "A support bundle of Patchyard {}. It holds what the other files show and nothing else.\n\
         Secrets were taken out; [secret] stands in their place. {names}\n\
         Read it through before you give it away.\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn json_file(name: &'static str, value: &Value) -> BundleFile {
    let text = serde_json::to_string_pretty(value).expect("values with texts as keys become JSON");
    bounded(name, ascii(&text) + "\n")
}

fn bounded(name: &'static str, mut text: String) -> BundleFile {
    let is_cut = text.len() > LONGEST_FILE;
    text.truncate(LONGEST_FILE);
    BundleFile { name, text, is_cut }
}

/// The same JSON, or lines of it, in printable ASCII, with nothing that a page would take for markup: all of that can stand
/// in its strings only, where it can be written as an escape (RFC 8259, section 7).
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        match character {
            '\n' => out.push('\n'),
            ' '..='~' if !"<>&".contains(character) => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_printable_ascii_that_reads_back_as_the_same_json() {
        let value = json!({ "name": "<b>Zürich</b> \u{1f600}\u{202e}\u{7f}\u{1b}[2J" });
        let file = json_file("a.json", &value);
        assert!(
            file.text
                .bytes()
                .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
        );
        assert!(!file.text.contains('<'));
        assert_eq!(serde_json::from_str::<Value>(&file.text).expect("JSON"), value);
    }
}
