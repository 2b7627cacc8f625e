//! Answers of the API as tables for people: which members become columns, how each is put into words, and how wide a
//! column may get. Programs get the JSON itself.

use crate::text::{self, Style, shown};
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

/// A column that is told as text.
pub const fn text(title: &'static str, pointer: &'static str) -> Column {
    column(title, pointer, Shape::Text)
}

/// A column of this shape.
pub const fn column(title: &'static str, pointer: &'static str, shape: Shape) -> Column {
    Column {
        title,
        pointer,
        shape,
    }
}

/// A cell never gets wider than this; the rest of a text is cut and marked.
const WIDEST: usize = 60;

/// The items as a table with a heading, ending in a newline; a sentence where there are none.
pub fn render(items: &[Value], columns: &[Column], none: &str, now: Timestamp, style: Style) -> String {
    if items.is_empty() {
        return format!("{none}\n");
    }
    let cells: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|column| cell(item, column, now)).collect())
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let widest = cells.iter().map(|row| row[at].chars().count()).max();
            widest.unwrap_or(0).max(column.title.chars().count())
        })
        .collect();
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
    out
}

/// One item as lines of `name  value`, in the order of the columns; absent values are left out.
pub fn card(item: &Value, columns: &[Column], now: Timestamp, style: Style) -> String {
    let width = columns.iter().map(|column| column.title.len()).max().unwrap_or(0);
    let mut out = String::new();
    for column in columns {
        let value = cell(item, column, now);
        if value == ABSENT {
            continue;
        }
        let value = match column.shape {
            Shape::Standing => standing(&value, style),
            _ => value,
        };
        let title = format!("{:width$}", column.title);
        let _ = writeln!(out, "{}  {value}", style.faint(&title));
    }
    out
}

fn line(
    out: &mut String,
    cells: &[String],
    columns: &[Column],
    widths: &[usize],
    paint: impl Fn(&Column, &str) -> String,
) {
    let last = cells.len().saturating_sub(1);
    let padded: Vec<String> = cells
        .iter()
        .zip(columns)
        .zip(widths)
        .enumerate()
        .map(|(at, ((cell, column), width))| {
            let fill = " ".repeat(width.saturating_sub(cell.chars().count()));
            let padded = match column.shape {
                Shape::Count | Shape::Bytes => format!("{fill}{cell}"),
                _ if at == last => cell.clone(),
                _ => format!("{cell}{fill}"),
            };
            paint(column, &padded)
        })
        .collect();
    out.push_str(padded.join("  ").trim_end());
    out.push('\n');
}

/// What stands where a value is absent.
const ABSENT: &str = "-";

fn cell(item: &Value, column: &Column, now: Timestamp) -> String {
    let Some(value) = item.pointer(column.pointer).filter(|value| !value.is_null()) else {
        return ABSENT.to_owned();
    };
    match column.shape {
        Shape::Text | Shape::Standing => cut(&plain(value)),
        Shape::Count => value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .map_or_else(|| cut(&plain(value)), text::grouped),
        Shape::Bytes => value.as_u64().map_or_else(|| cut(&plain(value)), bytes),
        Shape::Ago => moment(value).map_or_else(
            || cut(&plain(value)),
            |at| {
                let seconds = now.duration_since(at).as_secs();
                match seconds {
                    0.. => format!("{} ago", text::age(seconds)),
                    _ => format!("in {}", text::age(-seconds)),
                }
            },
        ),
        Shape::Moment => {
            moment(value).map_or_else(|| cut(&plain(value)), |at| at.strftime("%F %T").to_string())
        }
    }
}

/// A moment as the API writes it: RFC 3339.
fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => ABSENT.to_owned(),
        Value::String(text) => shown(text).into_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) if items.is_empty() => ABSENT.to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => shown(&other.to_string()).into_owned(),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    let kept: String = text.chars().take(WIDEST - 1).collect();
    format!("{kept}…")
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
        "updates_missing" | "missing" | "failed" | "quarantined" | "security" => style.alarm(padded),
        "unknown" | "pending" | "stale" | "proposed" | "degraded" => style.warn(padded),
        "up_to_date" | "ok" | "active" | "current" | "adopted" => style.good(padded),
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
    fn a_hostile_cell_is_harmless_and_bounded() {
        let items = [json!({"name": format!("a\u{1b}[2J\u{202e}{}", "x".repeat(500))})];
        let table = render(&items, &[text("host", "/name")], "none", now(), plain_style());
        assert!(table.contains("\\u{1b}[2J\\u{202e}"), "{table}");
        assert!(
            table.lines().all(|line| line.chars().count() <= WIDEST),
            "{table}"
        );
        assert!(!table.contains('\u{1b}'), "{table}");
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
            "name  web3\ntags  a, b\n"
        );
    }
}
