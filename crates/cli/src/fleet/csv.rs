//! Lists as CSV (RFC 4180), for spreadsheets: a heading, a line each, moments and numbers as they are. Texts of hosts are
//! hostile there too: a text that a spreadsheet would take for a formula is marked as text.

use super::table::{Column, Shape, plain};
use serde_json::Value;

/// The list with the table's columns, each line ended by carriage return and line feed (RFC 4180, 2.1).
pub fn render(items: &[Value], columns: &[Column]) -> String {
    let headings: Vec<String> = columns.iter().map(|column| quoted(column.title)).collect();
    let mut out = headings.join(",") + "\r\n";
    for item in items {
        let fields: Vec<String> = columns.iter().map(|column| field(item, column)).collect();
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    }
    out
}

fn field(item: &Value, column: &Column) -> String {
    match item.pointer(column.pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(Value::Number(number)) if matches!(column.shape, Shape::Count | Shape::Bytes) => {
            number.to_string()
        }
        Some(value) => quoted(&inert(plain(value))),
    }
}

/// What begins a formula in a spreadsheet, spaces before it left aside (OWASP, CSV Injection); the full-width forms too.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%'];

/// A text that no spreadsheet takes for a formula: an apostrophe makes it text.
fn inert(text: String) -> String {
    match text.trim_start().starts_with(FORMULA) {
        true => format!("'{text}"),
        false => text,
    }
}

/// Within quotes, so that no separator of any locale splits it; quotes are doubled (RFC 4180, 2.7).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::table::{column, text};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_csv_with_numbers_and_moments_as_they_are() {
        let columns = [
            text("host", "/name"),
            column("missing", "/missing", Shape::Count),
            column("seen", "/seen_at", Shape::Ago),
            text("tags", "/tags"),
        ];
        let items = [
            json!({"name": "a \"b\", c", "missing": 1253, "seen_at": "2026-01-02T03:04:05Z", "tags": ["x", "y"]}),
            json!({"name": "", "missing": 0, "seen_at": null, "tags": []}),
        ];
        assert_eq!(
            render(&items, &columns),
            "\"host\",\"missing\",\"seen\",\"tags\"\r\n\
             \"a \"\"b\"\", c\",1253,\"2026-01-02T03:04:05Z\",\"x, y\"\r\n,0,,\r\n"
        );
    }

    #[test]
    fn a_formula_becomes_text() {
        for formula in ["=1+1", " =1+1", "@SUM(A1)", "＝1", "-2+cmd|' /C calc'!A0", "%x"] {
            assert_eq!(inert(formula.to_owned()), format!("'{formula}"));
        }
        assert_eq!(inert("1.0-1".to_owned()), "1.0-1");
    }
}
