//! Answers of the API as people read them: which members become columns, and how each is put into words. How wide each
//! may get is for `fit`; spreadsheets get `csv`, programs the JSON itself.

mod fit;

use crate::text::{self, Style, cut, padded, shown, width};
use fit::fit;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write;

/// One column: its heading, where in an item its value stands (RFC 6901), and how it reads.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// A JSON pointer into an item of the list.
    pub pointer: &'static str,
    /// How the value reads.
    pub shape: Shape,
    /// What happens to it where there is little room.
    pub room: Room,
}

/// What happens to a column where a terminal is too narrow for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It stays whole as long as anything else can give way.
    Whole,
    /// Its values are cut.
    Cut,
    /// It is left out, the last such column first.
    Spare,
}

/// How a value reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As it is; foreign text made harmless. Lists are joined by commas.
    Text,
    /// A number with its thousands apart, to the right.
    Count,
    /// Bytes in the largest binary unit that fits.
    Bytes,
    /// How long ago a moment was.
    Ago,
    /// A moment, to the second, in UTC.
    Moment,
    /// A word that needs action is an alarm, a doubt a warning.
    Standing,
}

/// A column that is told as text, and cut where there is little room.
pub const fn text(title: &'static str, pointer: &'static str) -> Column {
    Column {
        room: Room::Cut,
        ..column(title, pointer, Shape::Text)
    }
}

/// A column of this shape, which stays whole.
pub const fn column(title: &'static str, pointer: &'static str, shape: Shape) -> Column {
    Column {
        title,
        pointer,
        shape,
        room: Room::Whole,
    }
}

/// An identifier: cut it would be of no use.
pub const fn id(pointer: &'static str) -> Column {
    column("id", pointer, Shape::Text)
}

impl Column {
    /// The same, left out where there is little room.
    pub const fn spare(self) -> Self {
        Self {
            room: Room::Spare,
            ..self
        }
    }
}

/// A cell of a table never gets wider than this; the rest of a text is cut and marked.
const WIDEST: usize = 64;

/// The items as a table with a heading, ending in a newline; a sentence where there are none.
pub fn render(items: &[Value], columns: &[Column], none: &str, now: Timestamp, style: Style) -> String {
    if items.is_empty() {
        return format!("{none}\n");
    }
    let cells: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|column| cell(item, column, now)).collect())
        .collect();
    let natural: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let widest = cells.iter().map(|row| width(&row[at])).max();
            widest.unwrap_or(0).max(column.title.len())
        })
        .collect();
    let widths = fit(columns, &natural, style.columns);
    let mut out = String::new();
    let headings: Vec<String> = columns.iter().map(|column| column.title.to_uppercase()).collect();
    line(&mut out, &headings, columns, &widths, |_, padded| {
        style.faint(padded)
    });
    for row in &cells {
        line(&mut out, row, columns, &widths, |column, padded| {
            match column.shape {
                Shape::Standing => standing(padded, style),
                _ => padded.to_owned(),
            }
        });
    }
    let left_out = columns.iter().zip(&widths).filter(|(_, width)| width.is_none());
    let left_out: Vec<&str> = left_out.map(|(column, _)| column.title).collect();
    if !left_out.is_empty() {
        let note = format!(
            "not shown for want of room, but by --json: {}",
            left_out.join(", ")
        );
        let _ = writeln!(out, "{}", style.faint(&note));
    }
    out
}

/// Most values of a list that a card names.
const MOST_LINES: usize = 20;
/// Most columns of one value of a card.
const LONGEST_LINE: usize = 400;

/// One item as lines of `name  value`, in the order of the columns; absent values are left out, the values of a list stand
/// on a line each.
pub fn card(item: &Value, columns: &[Column], now: Timestamp, style: Style) -> String {
    let widest = columns.iter().map(|column| column.title.len()).max().unwrap_or(0);
    let mut out = String::new();
    for column in columns {
        let mut title = column.title;
        for value in lines(item, column, now) {
            let value = match column.shape {
                Shape::Standing => standing(&value, style),
                _ => value,
            };
            let _ = writeln!(out, "{}  {value}", style.faint(&padded(title, widest)));
            title = "";
        }
    }
    out
}

fn lines(item: &Value, column: &Column, now: Timestamp) -> Vec<String> {
    let Some(value) = item.pointer(column.pointer) else {
        return Vec::new();
    };
    match value {
        Value::Array(values) => {
            let named = values.iter().take(MOST_LINES);
            let named = named.map(|value| cut(&plain(value), LONGEST_LINE).into_owned());
            let more = values.len().saturating_sub(MOST_LINES);
            let more = (more > 0).then(|| format!("and {} more", text::grouped(more)));
            named.chain(more).collect()
        }
        value => {
            let told = told(value, column.shape, now);
            (told != ABSENT)
                .then(|| cut(&told, LONGEST_LINE).into_owned())
                .into_iter()
                .collect()
        }
    }
}

fn line(
    out: &mut String,
    cells: &[String],
    columns: &[Column],
    widths: &[Option<usize>],
    paint: impl Fn(&Column, &str) -> String,
) {
    let last = widths.iter().rposition(Option::is_some);
    let mut parts = Vec::new();
    for (at, ((cell, column), width)) in cells.iter().zip(columns).zip(widths).enumerate() {
        let Some(room) = *width else { continue };
        let cell = cut(cell, room);
        let filled = match column.shape {
            Shape::Count | Shape::Bytes => format!("{}{cell}", " ".repeat(room - text::width(&cell))),
            _ if Some(at) == last => cell.into_owned(),
            _ => padded(&cell, room),
        };
        parts.push(paint(column, &filled));
    }
    out.push_str(parts.join("  ").trim_end());
    out.push('\n');
}

/// What stands where a value is absent.
const ABSENT: &str = "-";

fn cell(item: &Value, column: &Column, now: Timestamp) -> String {
    let told = item
        .pointer(column.pointer)
        .map_or_else(|| ABSENT.to_owned(), |value| told(value, column.shape, now));
    cut(&told, WIDEST).into_owned()
}

fn told(value: &Value, shape: Shape, now: Timestamp) -> String {
    let in_shape = match shape {
        Shape::Text => None,
        Shape::Standing => value.as_str().map(|word| shown(word).replace('_', " ")),
        Shape::Count => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .map(text::grouped),
        Shape::Bytes => value.as_u64().map(bytes),
        Shape::Ago => moment(value).map(|at| {
            let seconds = now.duration_since(at).as_secs();
            match seconds {
                0.. => format!("{} ago", text::age(seconds)),
                _ => format!("in {}", text::age(-seconds)),
            }
        }),
        Shape::Moment => moment(value).map(|at| at.strftime("%F %T").to_string()),
    };
    in_shape
        .filter(|told| !told.is_empty())
        .unwrap_or_else(|| plain(value))
}

/// A moment as the API writes it: RFC 3339.
fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A value in plain words, with foreign text made harmless.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => ABSENT.to_owned(),
        Value::String(text) if text.is_empty() => ABSENT.to_owned(),
        Value::String(text) => shown(text).into_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) if items.is_empty() => ABSENT.to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) if members.values().all(Value::is_string) && !members.is_empty() => {
            members.values().map(plain).collect::<Vec<_>>().join(" ")
        }
        other => shown(&other.to_string()).into_owned(),
    }
}

/// `512 B`, `3.2 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

fn standing(padded: &str, style: Style) -> String {
    match padded.trim() {
        "updates missing" | "missing" | "failed" | "quarantined" | "security" => style.alarm(padded),
        "unknown" | "pending" | "stale" | "proposed" | "degraded" => style.warn(padded),
        "up to date" | "ok" | "active" | "current" | "adopted" => style.good(padded),
        _ => padded.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Colour;
    use serde_json::json;

    fn plain_style() -> Style {
        Style::new(Colour::Never, |_| None)
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().expect("a moment")
    }

    #[test]
    fn a_table_lines_up_and_says_how_long_ago() {
        let columns = [
            text("host", "/name"),
            column("missing", "/counts/updates", Shape::Count),
            column("seen", "/last_seen", Shape::Ago),
        ];
        let items = [
            json!({"name": "web3", "counts": {"updates": 1253}, "last_seen": "2026-01-02T03:03:05Z"}),
            json!({"name": "database-17", "counts": {"updates": 0}, "last_seen": null}),
        ];
        assert_eq!(
            render(&items, &columns, "none", now(), plain_style()),
            "HOST         MISSING  SEEN\n\
             web3           1,253  60 s ago\n\
             database-17        0  -\n"
        );
        assert_eq!(
            render(&[], &columns, "There are no hosts.", now(), plain_style()),
            "There are no hosts.\n"
        );
    }

    #[test]
    fn sizes_read_in_their_unit() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(3 * 1024 * 1024 + 200_000), "3.2 MiB");
        assert_eq!(bytes(1024 * 1024 * 1024), "1.0 GiB");
    }

    #[test]
    fn a_card_leaves_out_what_is_absent() {
        let item = json!({"name": "web3", "site": null, "tags": ["a", "b"]});
        let columns = [
            text("name", "/name"),
            text("site", "/site"),
            text("tags", "/tags"),
        ];
        assert_eq!(
            card(&item, &columns, now(), plain_style()),
            "name  web3\ntags  a\n      b\n"
        );
    }
}
