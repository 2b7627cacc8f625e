//! Dates of release files: the three forms of RFC 9110 §5.6.7, and numeric zones as long as they are UTC, as apt's
//! `RFC1123StrToTime` reads them.

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};

/// Reads a date in UTC; `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (&weekday, rest) = words.split_first()?;
    if !is_weekday(weekday) {
        return None;
    }
    match (weekday.len(), rest) {
        (4, [day, name, year, time, zone]) if weekday.ends_with(',') && is_utc(zone) => {
            moment(number(year)?, month(name)?, number(day)?, time)
        }
        (3, [name, day, time, year]) => moment(number(year)?, month(name)?, number(day)?, time),
        (5.., [date, time, zone]) if weekday.ends_with(',') && is_utc(zone) => {
            let mut parts = date.split('-');
            let (day, name, year) = (parts.next()?, parts.next()?, parts.next()?);
            // Two digits of a year belong to the last century: the form died with it.
            parts
                .next()
                .is_none()
                .then(|| moment(number(year)?.checked_add(1900)?, month(name)?, number(day)?, time))?
        }
        _ => None,
    }
}

fn is_weekday(word: &str) -> bool {
    const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    word.get(..3)
        .is_some_and(|start| NAMES.iter().any(|name| start.eq_ignore_ascii_case(name)))
}

/// `GMT`, `UTC`, `Z`, or zero hours from there.
fn is_utc(zone: &str) -> bool {
    let digits = zone.strip_prefix(['+', '-']).unwrap_or(zone);
    matches!(zone, "GMT" | "UTC" | "Z") || !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')
}

fn month(name: &str) -> Option<i8> {
    const NAMES: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let place = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known))?;
    i8::try_from(place + 1).ok()
}

fn number(digits: &str) -> Option<i16> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

fn moment(year: i16, month: i8, day: i16, time: &str) -> Option<Timestamp> {
    let mut parts = time.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 61 {
        return None;
    }
    let midnight = Date::new(year, month, i8::try_from(day).ok()?)
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp();
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Timestamp::from_second(midnight.as_second().checked_add(seconds)?).ok()
}
