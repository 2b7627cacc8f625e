//! What was changed on a host and by whom, read from dpkg's and apt's logs. The rule that brings them together stands in
//! [`domain::host::change`]. Logs are read from their end, within limits; what was not read is said.

mod apt_history;
mod dpkg_log;

use crate::tree::{Kind, ReadError, Tree, join};
use domain::host::change::{History, attribute};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::io::{Read as _, Seek as _, SeekFrom};

/// What is read of one log, from its end.
const LOG_BYTES: u64 = 4 << 20;
/// A time zone's file is never larger.
const ZONE_BYTES: u64 = 1 << 20;

/// The two logs: folder and name.
const HISTORY: (&str, &str) = ("/var/log/apt", "history.log");
const DPKG: (&str, &str) = ("/var/log", "dpkg.log");

/// The latest changes on the host; `tools` are the installed packages of configuration tools.
pub fn read(tree: &Tree, tools: &[&str]) -> History {
    let zone = zone(tree);
    let mut unread = Vec::new();
    let history = log(tree, HISTORY, &mut unread);
    let dpkg = log(tree, DPKG, &mut unread);
    let recorded = apt_history::parse(&String::from_utf8_lossy(&history), &zone);
    let performed = dpkg_log::parse(&String::from_utf8_lossy(&dpkg), &zone);
    History {
        transactions: attribute(recorded, performed, tools),
        unread,
    }
}

/// The log before its last rotation, where that is still plain, and the current one.
fn log(tree: &Tree, (folder, name): (&str, &str), unread: &mut Vec<String>) -> Vec<u8> {
    let current = join(folder, name);
    let mut text = Vec::new();
    for path in [format!("{current}.1"), current.clone()] {
        match tail(tree, &path) {
            Ok((bytes, Part::Whole)) => text.extend(bytes),
            Ok((bytes, Part::End)) => {
                unread.push(format!("{path} is long: only its end was read"));
                text = bytes;
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => unread.push(crate::problem::chain(&error)),
        }
    }
    let packed = |entry: &crate::tree::Entry| {
        let rest = entry.name.strip_prefix(name).unwrap_or_default();
        entry.kind == Some(Kind::File) && rest.starts_with('.') && rest != ".1"
    };
    let older = tree.entries(folder).unwrap_or_default();
    if older.iter().any(packed) {
        unread.push(format!("older, packed logs beside {current} were not read"));
    }
    text
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    End,
}

/// The whole log, or its end from the first full line on.
fn tail(tree: &Tree, path: &str) -> Result<(Vec<u8>, Part), ReadError> {
    let failed = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = tree.open_file(path)?;
    let size = file.metadata().map_err(failed)?.len();
    let skipped = size.saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(skipped)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    if skipped == 0 {
        return Ok((bytes, Part::Whole));
    }
    let line = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |at| at + 1);
    bytes.drain(..line);
    Ok((bytes, Part::End))
}

/// The host's own time zone: its logs say local time and name no zone. UTC where it has none.
fn zone(tree: &Tree) -> TimeZone {
    let bytes = tree.read("/etc/localtime", ZONE_BYTES).ok();
    let zone = bytes.and_then(|bytes| TimeZone::tzif("host", &bytes).ok());
    zone.unwrap_or(TimeZone::UTC)
}

/// A local time such as `2025-06-24 14:36:25` in microseconds since 1970. Of an hour that came twice the first counts.
fn micros(zone: &TimeZone, date: &str, time: &str) -> Option<i64> {
    let number = |text: &str, at: std::ops::Range<usize>| text.get(at)?.parse::<i16>().ok();
    let small = |text: &str, at: usize| text.get(at..at + 2)?.parse::<i8>().ok();
    if date.len() != 10 || time.len() != 8 {
        return None;
    }
    let local = DateTime::new(
        number(date, 0..4)?,
        small(date, 5)?,
        small(date, 8)?,
        small(time, 0)?,
        small(time, 3)?,
        small(time, 6)?,
        0,
    );
    let moment = zone.to_ambiguous_timestamp(local.ok()?).earlier().ok()?;
    Some(moment.as_microsecond())
}

/// Whether a text may be a package's name, architecture or version: what dpkg writes there is short and plain.
fn is_word(text: &str) -> bool {
    const BYTES: usize = 256;
    !text.is_empty() && text.len() <= BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_those_of_the_hosts_zone_and_nonsense_is_none() {
        let berlin = TimeZone::get("Europe/Berlin").ok();
        if let Some(berlin) = berlin {
            assert_eq!(
                micros(&berlin, "2026-07-01", "02:00:00"),
                Some(1_782_864_000_000_000)
            );
            // 02:30 came twice that night.
            let twice = micros(&berlin, "2026-10-25", "02:30:00");
            assert_eq!(twice, Some(1_792_888_200_000_000));
        }
        assert_eq!(
            micros(&TimeZone::UTC, "1970-01-02", "00:00:01"),
            Some(86_401_000_000)
        );
        for (date, time) in [
            ("2026-13-01", "00:00:00"),
            ("2026-01-01", "25:00:00"),
            ("x", "y"),
            ("2026-0é-1", "00:00:00"),
        ] {
            assert_eq!(micros(&TimeZone::UTC, date, time), None);
        }
    }
}
