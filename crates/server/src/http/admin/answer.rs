//! How answers look: things with their version, lists as JSON or CSV, and what was made. Nothing may be cached or
//! guessed at by a browser.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::change::Made;
use crate::app::shape::{Listed, Part};
use crate::http::cursor::Cursors;
use crate::http::problem::Problem;

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T: ToSchema> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The cursor of the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Json,
    /// A table (RFC 4180).
    Csv,
}

impl Form {
    /// What Accept prefers: CSV only when it is named.
    pub fn of(headers: &HeaderMap) -> Self {
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mut wanted = accept
            .split(',')
            .map(|range| range.split(';').next().unwrap_or_default().trim());
        match wanted.find(|range| matches!(*range, "text/csv" | "application/json")) {
            Some("text/csv") => Self::Csv,
            _ => Self::Json,
        }
    }
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Form {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

/// A part of a list as the caller wants it.
pub fn list<T: Listed + ToSchema, K: Serialize>(form: Form, cursors: &Cursors, part: Part<T, K>) -> Response {
    let next = part.next.map(|key| cursors.after(&key));
    match form {
        Form::Json => json(
            StatusCode::OK,
            &Page {
                items: part.items,
                next,
            },
        ),
        Form::Csv => {
            let mut answer = table(&part.items).into_response();
            let headers = answer.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
            );
            headers.insert(
                header::CONTENT_DISPOSITION,
                HeaderValue::from_static("attachment; filename=\"patchyard.csv\""),
            );
            let link =
                next.and_then(|next| HeaderValue::try_from(format!("<?cursor={next}>; rel=\"next\"")).ok());
            if let Some(link) = link {
                headers.insert(header::LINK, link);
            }
            answer
        }
    }
}

/// Any JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("views are made of texts, numbers and lists");
    raw_json(status, bytes)
}

fn raw_json(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut answer = (status, bytes).into_response();
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A thing, with the version that a change of it has to name.
pub fn thing(body: &impl Serialize, version: i64) -> Response {
    with_version(json(StatusCode::OK, body), version)
}

fn with_version(mut answer: Response, version: i64) -> Response {
    let tag = HeaderValue::try_from(format!("\"v{version}\"")).expect("a number between quotes is a header");
    answer.headers_mut().insert(header::ETAG, tag);
    answer
}

/// What a POST made, now or when it was sent first.
pub fn made(made: Made) -> Response {
    let status = StatusCode::from_u16(made.status).unwrap_or(StatusCode::OK);
    let mut answer = raw_json(status, made.body);
    if made.is_repeated {
        answer
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    match made.version {
        Some(version) => with_version(answer, version),
        None => answer,
    }
}

/// A list as a table: a head, then a line for each item (RFC 4180).
fn table<T: Listed>(items: &[T]) -> String {
    let mut text = T::COLUMNS.join(",");
    text.push_str("\r\n");
    for item in items {
        let item = serde_json::to_value(item).expect("views are made of texts, numbers and lists");
        let cells: Vec<_> = T::COLUMNS
            .iter()
            .map(|column| cell(item.get(column).unwrap_or(&Value::Null)))
            .collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A cell that a spreadsheet takes for text: quoted, on one line, and with an apostrophe before whatever would begin a
/// formula (OWASP, CSV injection).
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Bool(_) | Value::Number(_) => return value.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("; "),
        other => other.to_string(),
    };
    let text: String = text
        .chars()
        .map(|c| if domain::text::is_steering(c) { ' ' } else { c })
        .collect();
    let begins = text.trim_start().chars().next();
    let is_formula = begins.is_some_and(|first| "=+-@|%＝＋－＠".contains(first));
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// What every handler of ours gives.
pub type Answer = Result<Response, Problem>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_text_on_one_line_and_never_a_formula() {
        let cell = |text: &str| cell(&Value::String(text.to_owned()));
        assert_eq!(cell("plain"), "\"plain\"");
        assert_eq!(cell("say \"hi\", you"), "\"say \"\"hi\"\", you\"");
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(1)",
            " =1",
            "\t=1",
            "\r\n=1",
            "＝1",
            "\u{feff}=1",
            "\u{200b}@a",
            "|cmd",
            "%0A",
        ] {
            let shown = cell(formula);
            assert!(shown.starts_with("\"'"), "{shown:?}");
            assert!(!shown.contains(['\r', '\n', '\t']), "{shown:?}");
        }
        assert_eq!(cell("2024-01-01"), "\"2024-01-01\"");
        assert_eq!(
            super::cell(&Value::from(-5)),
            "-5",
            "our own numbers stay numbers"
        );
    }

    #[test]
    fn csv_is_given_only_to_whom_asks_for_it_by_name() {
        let form = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Form::of(&headers)
        };
        assert_eq!(form("text/csv"), Form::Csv);
        assert_eq!(form("text/csv; q=0.9, */*"), Form::Csv);
        assert_eq!(form("application/json, text/csv"), Form::Json);
        assert_eq!(form("*/*"), Form::Json);
        assert_eq!(form("text/*"), Form::Json);
    }
}
