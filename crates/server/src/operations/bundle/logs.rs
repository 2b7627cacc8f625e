//! The end of a log, event by event. A line that is no event is not told: nobody knows what stands in it.

use super::redact::Redactor;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// So much of a log is told, in bytes.
const LONGEST_TAIL: u64 = 384 << 10;
/// A longer text of an event is cut, in bytes.
const LONGEST_TEXT: usize = 8 << 10;
/// Members of an event that hold a name, whatever it looks like.
const NAMES: [&str; 11] = [
    "host", "name", "tenant", "site", "user", "source", "peer", "address", "hostname", "login", "caller",
];

/// The last events of the log `NAME.log` in this folder, and of the one before if that is short.
pub(super) fn tail(folder: &Path, name: &str, redactor: &Redactor) -> String {
    let newest = end_of(&folder.join(format!("{name}.log")), LONGEST_TAIL);
    let newest = match newest {
        Ok(newest) => newest,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return "{\"not_told\":\"there is no such log; under systemd it is in the journal\"}\n"
                .to_owned();
        }
        Err(error) => {
            return format!(
                "{{\"not_told\":{}}}\n",
                Value::String(redactor.text(&error.to_string()))
            );
        }
    };
    let left = LONGEST_TAIL.saturating_sub(newest.len() as u64);
    let older = end_of(&folder.join(format!("{name}.1.log")), left).unwrap_or_default();
    let mut out = String::new();
    for line in older.lines().chain(newest.lines()) {
        out.push_str(&told(line, redactor));
        out.push('\n');
    }
    out
}

/// The last bytes of a file, from the beginning of a line.
fn end_of(path: &Path, most: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match skipped {
        0 => text,
        // The first line has lost its beginning.
        _ => text
            .split_once('\n')
            .map(|(_, whole)| whole.to_owned())
            .unwrap_or_default(),
    })
}

fn told(line: &str, redactor: &Redactor) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(event)) => Value::Object(event_of(event, redactor)).to_string(),
        _ => format!(
            "{{\"not_told\":\"a line of {} bytes that is no event\"}}",
            line.len()
        ),
    }
}

fn event_of(event: Map<String, Value>, redactor: &Redactor) -> Map<String, Value> {
    // Sentences repeat what stands in members: what is a name there is one in them too.
    let names: Vec<(String, String)> = event
        .iter()
        .filter(|(member, _)| NAMES.contains(&member.as_str()))
        .filter_map(|(member, value)| {
            Some((value.as_str()?.to_owned(), redactor.name(member, value.as_str()?)))
        })
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let tell = |value: &Value| match value {
        Value::String(text) => {
            let mut end = LONGEST_TEXT.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let told = names
                .iter()
                .fold(text[..end].to_owned(), |text, (name, stand_in)| {
                    text.replace(name.as_str(), stand_in)
                });
            Value::String(told)
        }
        other => other.clone(),
    };
    let told: Map<String, Value> = event
        .iter()
        .map(|(member, value)| (member.clone(), tell(value)))
        .collect();
    match redactor.value(&Value::Object(told)) {
        Value::Object(told) => told,
        _ => unreachable!("an object stays one"),
    }
}
