//! A connection inside a transaction, as work sees it: a [`View`] reads, a [`Tx`] also changes. Only this crate can hand
//! them statements.

use crate::error::Error;
use crate::lease::Fence;
use crate::value::{Row, Value};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _, SqlStr};
use std::ops::{ControlFlow, Deref, DerefMut};
use tokio::runtime::Handle;

/// The text of a statement, written in this crate.
pub(crate) enum Sql {
    /// As it stands in the source.
    Fixed(&'static str),
    /// Put together from fixed pieces; never from foreign text.
    Built(String),
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::Fixed(text)
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self::Built(text)
    }
}

impl Sql {
    fn into_text(self) -> SqlStr {
        match self {
            Self::Fixed(text) => text.into_sql_str(),
            Self::Built(text) => AssertSqlSafe(text).into_sql_str(),
        }
    }
}

pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

/// Reads rows, all of one moment.
pub struct View {
    pub(super) connection: Connection,
    runtime: Handle,
    has_crossed: bool,
    /// Whether the connection is in a state that nobody knows, and is not used again.
    pub(super) is_spent: bool,
}

/// Reads and changes rows; all of its changes become durable together or not at all.
pub struct Tx {
    view: View,
}

impl Deref for Tx {
    type Target = View;
    fn deref(&self) -> &View {
        &self.view
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut View {
        &mut self.view
    }
}

macro_rules! bound {
    ($sql:expr, $values:expr) => {
        $values
            .into_iter()
            .fold(sqlx::query($sql.into().into_text()), |query, value| match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            })
    };
}

impl View {
    pub(super) fn new(connection: Connection, runtime: Handle) -> Self {
        Self {
            connection,
            runtime,
            has_crossed: false,
            is_spent: false,
        }
    }

    /// All rows of an answer.
    pub(crate) fn rows(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        fit(&values)?;
        let Self {
            connection, runtime, ..
        } = self;
        let rows = match connection {
            Connection::Sqlite(connection) => runtime
                .block_on(connection.fetch_all(bound!(sql, values)))
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Connection::Postgres(connection) => runtime
                .block_on(connection.fetch_all(bound!(sql, values)))
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        self.noted(rows)
    }

    /// The first row of an answer, if it has any.
    pub(crate) fn row(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Option<Row>, Error> {
        fit(&values)?;
        let Self {
            connection, runtime, ..
        } = self;
        let row = match connection {
            Connection::Sqlite(connection) => runtime
                .block_on(connection.fetch_optional(bound!(sql, values)))
                .map(|row| row.map(Row::Sqlite)),
            Connection::Postgres(connection) => runtime
                .block_on(connection.fetch_optional(bound!(sql, values)))
                .map(|row| row.map(Row::Postgres)),
        };
        self.noted(row)
    }

    /// The rows of an answer, each made into what the row type says.
    pub(crate) fn list<T>(
        &mut self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
        make: impl FnMut(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.rows(sql, values)?.iter().map(make).collect()
    }

    /// The first row of an answer, made into what the row type says.
    pub(crate) fn find<T>(
        &mut self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
        make: impl FnOnce(&Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.row(sql, values)?.as_ref().map(make).transpose()
    }

    /// Hands over row after row, in bounded memory, until the answer ends or the reader has enough.
    pub(crate) fn each(
        &mut self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
        mut take: impl FnMut(&Row) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        fit(&values)?;
        let Self {
            connection, runtime, ..
        } = self;
        let done = match connection {
            Connection::Sqlite(connection) => runtime.block_on(async {
                let mut rows = connection.fetch(bound!(sql, values));
                while let Some(row) = next_of(&mut rows).await {
                    if take(&Row::Sqlite(row?))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }),
            Connection::Postgres(connection) => runtime.block_on(async {
                let mut rows = connection.fetch(bound!(sql, values));
                while let Some(row) = next_of(&mut rows).await {
                    if take(&Row::Postgres(row?))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }),
        };
        self.crossed(done)
    }

    /// Statements without values, several of them: migrations, transactions, settings of the engine.
    pub(crate) fn script(&mut self, sql: impl Into<Sql>) -> Result<(), Error> {
        let Self {
            connection, runtime, ..
        } = self;
        let script = sqlx::raw_sql(sql.into().into_text());
        let done = match connection {
            Connection::Sqlite(connection) => runtime.block_on(connection.execute(script)).map(drop),
            Connection::Postgres(connection) => runtime.block_on(connection.execute(script)).map(drop),
        };
        self.noted(done)
    }

    /// Waits for something beside the connection.
    pub(super) fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Whether this is the embedded engine: for what the engines do not spell alike.
    pub(crate) const fn is_sqlite(&self) -> bool {
        matches!(self.connection, Connection::Sqlite(_))
    }

    /// Whether a statement failed because of another change since this was last asked.
    pub(super) fn take_crossed(&mut self) -> bool {
        std::mem::take(&mut self.has_crossed)
    }

    fn noted<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, Error> {
        self.crossed(outcome.map_err(Error::from))
    }

    fn crossed<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome {
            self.has_crossed |= error.is_crossing();
        }
        outcome
    }
}

/// PostgreSQL holds no NUL in a text; so neither engine does.
fn fit(values: &[Value]) -> Result<(), Error> {
    let has_nul = |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
    if values.iter().any(has_nul) {
        Err(Error::Nul)
    } else {
        Ok(())
    }
}

/// The next item of a stream.
async fn next_of<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_next(context)).await
}

impl Tx {
    pub(super) const fn new(view: View) -> Self {
        Self { view }
    }

    pub(super) fn into_view(self) -> View {
        self.view
    }

    /// Runs a statement that gives no rows; how many it changed.
    pub(crate) fn execute(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<u64, Error> {
        fit(&values)?;
        let View {
            connection, runtime, ..
        } = &mut self.view;
        let changed = match connection {
            Connection::Sqlite(connection) => runtime
                .block_on(connection.execute(bound!(sql, values)))
                .map(|done| done.rows_affected()),
            Connection::Postgres(connection) => runtime
                .block_on(connection.execute(bound!(sql, values)))
                .map(|done| done.rows_affected()),
        };
        self.view.noted(changed)
    }

    /// Runs `head VALUES (...), (...) tail` for as many rows as there are, many at a time.
    pub(crate) fn execute_many(
        &mut self,
        head: &str,
        tail: &str,
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<u64, Error> {
        let mut changed = 0;
        in_batches(rows, |rows| {
            let sql = format!("{head} VALUES {} {tail}", tuples(1, rows.len(), rows[0].len()));
            changed += self.execute(sql, rows.concat())?;
            Ok(())
        })?;
        Ok(changed)
    }

    /// The same for a statement that gives rows (`RETURNING`), in no order: what they make.
    pub(crate) fn list_many<T>(
        &mut self,
        head: &str,
        tail: &str,
        rows: impl IntoIterator<Item = Vec<Value>>,
        mut make: impl FnMut(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        in_batches(rows, |rows| {
            let sql = format!("{head} VALUES {} {tail}", tuples(1, rows.len(), rows[0].len()));
            found.extend(self.list(sql, rows.concat(), &mut make)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Runs `head FROM (VALUES (...), (...)) AS v WHERE condition AND the lease is still the fence's tail`, many rows at a time.
    /// The columns of `v` are called `column1`, `column2` and so on; `$1` to `$n` are the common values.
    ///
    /// # Errors
    /// Of the database. A lease that is lost shows in the number of rows that were changed.
    pub(crate) fn execute_fenced(
        &mut self,
        fence: &Fence,
        [head, condition, tail]: [&str; 3],
        common: Vec<Value>,
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<u64, Error> {
        let mut changed = 0;
        let name = common.len() + 1;
        in_batches(rows, |rows| {
            let sql = format!(
                "{head} FROM (VALUES {}) AS v WHERE {condition}
                 AND EXISTS (SELECT 1 FROM leases WHERE name = ${name} AND fencing = ${}) {tail}",
                tuples(name + 2, rows.len(), rows[0].len()),
                name + 1
            );
            let mut values = common.to_vec();
            values.extend([Value::from(fence.name()), Value::from(fence.token())]);
            values.extend(rows.concat());
            changed += self.execute(sql, values)?;
            Ok(())
        })?;
        Ok(changed)
    }
}

/// Hands over rows in batches. Full ones share one prepared statement; the rest goes in halves, for as few others as
/// possible.
fn in_batches(
    rows: impl IntoIterator<Item = Vec<Value>>,
    mut take: impl FnMut(&[Vec<Value>]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let batch: Vec<Vec<Value>> = rows.by_ref().take(ROWS_AT_A_TIME).collect();
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(largest_power(rest.len()));
            take(part)?;
            rest = after;
        }
    }
    Ok(())
}

/// Rows of one statement: 64 of up to 32 columns stay below SQLite's and PostgreSQL's limits of placeholders.
const ROWS_AT_A_TIME: usize = 64;

/// The greatest power of two that is not above this number, which is not zero.
const fn largest_power(count: usize) -> usize {
    1 << count.ilog2()
}

/// `($1, $2), ($3, $4)`, counted from a number.
fn tuples(from: usize, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            if column > 0 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&(from + row * columns + column).to_string());
        }
        text.push(')');
    }
    text
}

/// `$from, $from+1, ...`, this many.
pub(crate) fn placeholders(from: usize, count: usize) -> String {
    (from..from + count)
        .map(|number| format!("${number}"))
        .collect::<Vec<_>>()
        .join(", ")
}
