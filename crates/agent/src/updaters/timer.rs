//! systemd timers as files say them: the unit, its drop-ins, and whether something pulls it in. Only daily times
//! are understood (systemd.timer(5), systemd.time(7)); any other calendar is shown in its own words.

use crate::problem::printable;
use crate::tree::{Kind, Tree, join};
use std::collections::BTreeMap;
use std::fmt;

/// Folders of units, the first wins (systemd.unit(5)).
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// A unit file larger than this is not read.
const UNIT_BYTES: u64 = 256 << 10;

/// When a timer starts its service, in the host's time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The calendar, as its unit has it: `*-*-* 6:00`. Several are possible.
    pub calendars: Vec<String>,
    /// Up to so many seconds later, chosen by systemd at random each time.
    pub spread_seconds: u64,
}

impl fmt::Display for Schedule {
    /// `06:00`, or `06:00-07:00` where the delay is random.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for calendar in &self.calendars {
            f.write_str(separator)?;
            separator = ", ";
            let times = daily_times(calendar);
            if times.is_empty() {
                write!(f, "“{}”", printable(calendar))?;
            }
            for (at, minutes) in times.iter().enumerate() {
                f.write_str(if at == 0 { "" } else { ", " })?;
                clock(f, u64::from(*minutes))?;
                if self.spread_seconds >= 60 {
                    f.write_str("-")?;
                    clock(f, u64::from(*minutes) + self.spread_seconds / 60)?;
                }
            }
        }
        Ok(())
    }
}

fn clock(f: &mut fmt::Formatter<'_>, minutes: u64) -> fmt::Result {
    write!(f, "{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Minutes after midnight of a calendar that comes every day; none if it is any other.
fn daily_times(calendar: &str) -> Vec<u32> {
    if calendar.eq_ignore_ascii_case("daily") {
        return vec![0];
    }
    let time = match calendar.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["*-*-*", time] | [time] if time.contains(':') => (*time).to_owned(),
        _ => return Vec::new(),
    };
    let parts: Vec<&str> = time.split(':').collect();
    let minutes = match parts.as_slice() {
        [_, minutes] | [_, minutes, "00"] => minutes.parse::<u32>().ok().filter(|&minutes| minutes < 60),
        _ => None,
    };
    let hours = parts[0]
        .split(',')
        .map(|hour| hour.parse::<u32>().ok().filter(|&hour| hour < 24));
    hours
        .map(|hour| Some(hour? * 60 + minutes?))
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// Reads a timer. `None`: it is missing, masked or not enabled; `Some(None)`: it has no calendar that files tell.
pub(super) fn read(tree: &Tree, unit: &str) -> Option<Option<Schedule>> {
    if !is_enabled(tree, unit) {
        return None;
    }
    let text = unit_text(tree, unit)?;
    let mut schedule = Schedule {
        calendars: Vec::new(),
        spread_seconds: 0,
    };
    apply(&text, &mut schedule);
    for path in drop_ins(tree, unit).into_values() {
        if let Ok(bytes) = tree.read(&path, UNIT_BYTES) {
            apply(&String::from_utf8_lossy(&bytes), &mut schedule);
        }
    }
    Some((!schedule.calendars.is_empty()).then_some(schedule))
}

fn is_enabled(tree: &Tree, unit: &str) -> bool {
    let folder = FOLDERS[0];
    let above = tree.entries(folder).unwrap_or_default();
    let mut wants = above.iter().filter(|entry| entry.name.ends_with(".wants"));
    wants.any(|entry| {
        let wanted = tree.entries(&join(folder, &entry.name)).unwrap_or_default();
        wanted.iter().any(|entry| entry.name == unit)
    })
}

/// The text of the first file of that name; none if that is a link to `/dev/null` (masked) or nothing.
fn unit_text(tree: &Tree, unit: &str) -> Option<String> {
    for folder in FOLDERS {
        let entries = tree.entries(folder).unwrap_or_default();
        if let Some(entry) = entries.iter().find(|entry| entry.name == unit) {
            if entry.kind != Some(Kind::File) {
                return None;
            }
            let bytes = tree
                .read(&join(folder, unit), UNIT_BYTES)
                .ok()
                .filter(|bytes| !bytes.is_empty())?;
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    None
}

/// Drop-ins by name: of two with one name the folder that comes first wins.
fn drop_ins(tree: &Tree, unit: &str) -> BTreeMap<String, String> {
    let mut drop_ins = BTreeMap::new();
    for folder in FOLDERS.iter().rev() {
        let folder = join(folder, &format!("{unit}.d"));
        for entry in tree.entries(&folder).unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                drop_ins.insert(entry.name.clone(), join(&folder, &entry.name));
            }
        }
    }
    drop_ins
}

/// Takes over the settings of one file's `[Timer]` section; an empty `OnCalendar=` forgets the earlier ones.
fn apply(text: &str, schedule: &mut Schedule) {
    let mut is_timer = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_timer = line == "[Timer]";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_timer) else {
            continue;
        };
        match (name.trim(), value.trim()) {
            ("OnCalendar", "") => schedule.calendars.clear(),
            ("OnCalendar", calendar) => schedule.calendars.push(calendar.to_owned()),
            ("RandomizedDelaySec", delay) => schedule.spread_seconds = seconds(delay).unwrap_or(0),
            _ => {}
        }
    }
}

/// A time span of systemd.time(7): numbers with units, seconds without one.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let unit = match &after[..letters] {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after[letters..].trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(calendar: &str, delay: &str) -> String {
        let mut schedule = Schedule {
            calendars: Vec::new(),
            spread_seconds: 0,
        };
        apply(
            &format!("[Timer]\nOnCalendar={calendar}\nRandomizedDelaySec={delay}\n"),
            &mut schedule,
        );
        schedule.to_string()
    }

    #[test]
    fn a_daily_timer_shows_its_hours_and_their_spread() {
        assert_eq!(shown("*-*-* 6:00", "60m"), "06:00-07:00");
        assert_eq!(shown("*-*-* 6,18:00", "12h"), "06:00-18:00, 18:00-06:00");
        assert_eq!(shown("06:12", "0"), "06:12");
        assert_eq!(shown("Mon *-*-* 06:00", "1h 30min"), "“Mon *-*-* 06:00”");
    }

    #[test]
    fn an_empty_calendar_forgets_the_earlier_ones() {
        let mut schedule = Schedule {
            calendars: Vec::new(),
            spread_seconds: 0,
        };
        apply("[Timer]\nOnCalendar=6:00\n", &mut schedule);
        apply(
            "[Unit]\nOnCalendar=5:00\n[Timer]\nOnCalendar=\nOnCalendar=7:30\n",
            &mut schedule,
        );
        assert_eq!(schedule.calendars, ["7:30"]);
    }
}
