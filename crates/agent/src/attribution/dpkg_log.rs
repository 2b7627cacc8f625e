//! dpkg's log (`/var/log/dpkg.log`): what was done to which package, and when. Only the beginnings of actions count.

use super::{is_word, micros};
use domain::host::change::{PackageChange, Performed};
use jiff::tz::TimeZone;

/// The actions in their order.
pub(super) fn parse(log: &str, zone: &TimeZone) -> Vec<Performed> {
    log.lines().filter_map(|line| action(line, zone)).collect()
}

/// `2025-06-24 14:36:25 upgrade openssl:amd64 3.0.17-1 3.0.20-1`. A purge follows the removal that it completes, or
/// touches configuration alone.
fn action(line: &str, zone: &TimeZone) -> Option<Performed> {
    let mut words = line.split(' ');
    let (date, time, what) = (words.next()?, words.next()?, words.next()?);
    if !matches!(what, "install" | "upgrade" | "remove") {
        return None;
    }
    let (package, before, after) = (words.next()?, words.next()?, words.next()?);
    let (name, architecture) = package.split_once(':')?;
    if ![name, architecture, before, after].into_iter().all(is_word) {
        return None;
    }
    let version = |text: &str| (text != "<none>").then(|| Box::from(text));
    let (from, to) = match what {
        // What it was before is what its remaining configuration is of.
        "install" => (None, version(after)),
        "remove" => (version(before), None),
        _ => (version(before), version(after)),
    };
    Some(Performed {
        at_micros: micros(zone, date, time)?,
        change: PackageChange {
            package: name.into(),
            architecture: architecture.into(),
            from,
            to,
        },
    })
}
