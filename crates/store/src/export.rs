//! Everything of one tenant as lines of JSON, as of one moment: for keeping, and before it is removed. What only serves to log in
//! or to answer a repeated request is left out.

use crate::copy::CopyError;
use crate::db::{Db, View};
use crate::error::Error;
use crate::schema::{self, Table};
use crate::scope::Scope;
use crate::value::{Value, values};
use crate::{Whole, audit};
use jiff::Timestamp;
use serde_json::{Map, json};
use std::ops::ControlFlow;
use tokio::sync::mpsc;

/// Columns with what opens something: hashes of secrets, and sealed secrets.
const SECRETS: [&str; 4] = [
    "secret_hash",
    "password_hash",
    "totp_sealed",
    "credentials_sealed",
];
/// Answers to repeated requests may hold secrets in the clear.
const LEFT_OUT: [&str; 1] = ["idempotency_keys"];
/// Bytes that are handed on at a time.
const PIECE: usize = 64 << 10;

/// Sends everything of a tenant: a line that says what this is, a line for each row, and a last line with their number and the
/// end of the tenant's audit chain. Without the last line the export is cut off. Bytes are written in hexadecimal digits.
///
/// # Errors
/// Of the database, and [`Error::Closed`] where nobody reads on.
pub async fn tenant(
    db: &Db,
    scope: Scope,
    now: Timestamp,
    to: mpsc::Sender<Vec<u8>>,
) -> Result<(), CopyError> {
    let mut tables = schema::tables(db.migrations()).await?;
    tables.retain(|table| table.owner().is_some() && !LEFT_OUT.contains(&table.name.as_str()));
    Ok(db.read(move |view| send(view, &tables, scope, now, &to)).await?)
}

fn send(
    view: &mut View,
    tables: &[Table],
    scope: Scope,
    now: Timestamp,
    to: &mpsc::Sender<Vec<u8>>,
) -> Result<(), Error> {
    let mut out = Out {
        piece: Vec::new(),
        to,
    };
    let tenant = scope.tenant().to_string();
    out.line(&json!({ "form": "patchyard tenant export 1", "tenant": tenant, "at": now.to_string() }))?;
    let mut rows = 0_u64;
    for table in tables {
        let owner = table.owner().expect("the others were left out");
        let sql = format!(
            "SELECT {} FROM {} WHERE {owner} = $1 ORDER BY {}",
            table.column_names(),
            table.name,
            table.key_names()
        );
        view.each(sql, values![&scope], |row| {
            let mut members = Map::new();
            for (at, column) in table.columns.iter().enumerate() {
                if SECRETS.contains(&column.name.as_str()) {
                    continue;
                }
                let value = match column.kind.read(row, at)? {
                    Value::Int(value) => json!(value),
                    Value::Text(value) => json!(value),
                    Value::Bytes(value) => json!(value.map(|bytes| hex(&bytes))),
                };
                members.insert(column.name.clone(), value);
            }
            rows += 1;
            out.line(&json!({ "table": table.name, "row": members }))?;
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let end = audit::end_of(view, &Whole::server(), scope.owner())?;
    out.line(&json!({
        "end": { "rows": rows, "chain_number": end.number, "chain_hash": hex(&end.chain_hash) }
    }))?;
    out.flush()
}

struct Out<'a> {
    piece: Vec<u8>,
    to: &'a mpsc::Sender<Vec<u8>>,
}

impl Out<'_> {
    fn line(&mut self, line: &serde_json::Value) -> Result<(), Error> {
        serde_json::to_writer(&mut self.piece, line).expect("texts and numbers are JSON");
        self.piece.push(b'\n');
        match self.piece.len() > PIECE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let piece = std::mem::take(&mut self.piece);
        self.to.blocking_send(piece).map_err(|_gone| Error::Closed)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
