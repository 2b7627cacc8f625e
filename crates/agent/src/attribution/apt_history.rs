//! apt's history (`/var/log/apt/history.log`): stanzas of what it was asked to do, by which command and for whom.

use super::{is_word, micros};
use crate::problem::printable;
use domain::host::change::{PackageChange, Recorded};
use jiff::tz::TimeZone;

/// The longest command that is kept, in characters.
const COMMAND_CHARS: usize = 1_024;
/// Changes of one record that are kept.
const CHANGES: usize = 4_096;

/// The records in their order. What is no record is passed over.
pub(super) fn parse(log: &str, zone: &TimeZone) -> Vec<Recorded> {
    let mut records = Vec::new();
    let mut record = Recorded::default();
    let mut start = None;
    for line in log.lines().chain(std::iter::once("")) {
        let Some((name, value)) = line.split_once(": ") else {
            // A blank line ends a record.
            let done = std::mem::take(&mut record);
            if let Some(start_micros) = start.take() {
                records.push(Recorded { start_micros, ..done });
            }
            continue;
        };
        match name {
            "Start-Date" => start = date(value, zone),
            "End-Date" => record.end_micros = date(value, zone),
            "Commandline" => record.command = Some(cut(value)),
            "Comment" => record.comment = Some(printable(value)),
            "Requested-By" => record.requested_by = login(value),
            "Install" | "Upgrade" | "Downgrade" | "Reinstall" | "Remove" | "Purge" => {
                let room = CHANGES.saturating_sub(record.changes.len());
                let changes = value.split("), ").filter_map(|item| change(name, item));
                record.changes.extend(changes.take(room));
            }
            _ => {}
        }
    }
    records
}

/// `2025-06-24  14:36:25`, with two spaces.
fn date(value: &str, zone: &TimeZone) -> Option<i64> {
    let (date, time) = value.trim().split_once(' ')?;
    micros(zone, date, time.trim())
}

fn cut(command: &str) -> String {
    let plain = command
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    plain.take(COMMAND_CHARS).collect()
}

/// `alice (1000)`.
fn login(value: &str) -> Option<String> {
    let login = value.rsplit_once(" (").map_or(value, |(login, _)| login).trim();
    (!login.is_empty()).then(|| printable(login))
}

/// `openssl:amd64 (3.0.17-1, 3.0.20-1)`, `vim:amd64 (9.0, automatic)`; the last item of a list ends in `)`.
fn change(what: &str, item: &str) -> Option<PackageChange> {
    let (package, versions) = item.trim().split_once(" (")?;
    let versions = versions.strip_suffix(')').unwrap_or(versions);
    let (name, architecture) = package.split_once(':')?;
    if !is_word(name) || !is_word(architecture) {
        return None;
    }
    let mut versions = versions
        .split(", ")
        .filter(|word| *word != "automatic" && is_word(word))
        .map(Box::from);
    let (first, second): (Option<Box<str>>, _) = (versions.next(), versions.next());
    let (from, to) = match what {
        "Install" => (None, first),
        "Reinstall" => (first.clone(), first),
        "Remove" | "Purge" => (first, None),
        _ => (first, second),
    };
    // Purging what was removed before changes no installed package.
    (from.is_some() || to.is_some()).then(|| PackageChange {
        package: name.into(),
        architecture: architecture.into(),
        from,
        to,
    })
}
