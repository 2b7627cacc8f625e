//! A whole database into another, from either engine to either: all rows as of one moment, then counted and digested anew on
//! both sides. Until that holds, the other one cannot be opened.

use crate::db::{Db, Tx, View};
use crate::error::Error;
use crate::migrations::{OpenError, UNFINISHED};
use crate::schema::{self, Table};
use crate::scope::Scope;
use crate::value::{Row, Value, values};
use domain::digest::Sha256Digest;
use failpoint::{Point, reach};
use ring::digest::{Context, SHA256};
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target has rows already.
    #[error("copy into a database that is not empty: {table} has rows")]
    NotEmpty {
        /// The first table with rows.
        table: String,
    },
    /// What arrived is not what was sent.
    #[error(
        "find the same rows in {table} after the copy: {sent} were sent and {arrived} arrived, or they differ"
    )]
    Differs {
        /// The table.
        table: String,
        /// Rows on the one side.
        sent: u64,
        /// Rows on the other.
        arrived: u64,
    },
    /// One of the two cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// One of the two fails.
    #[error(transparent)]
    Database(#[from] Error),
}

/// A table that is the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over all of them in the order of their key.
    pub digest: Sha256Digest,
}

/// Rows on their way at a time, and bytes above which fewer are.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

struct Batch {
    table: usize,
    rows: Vec<Vec<Value>>,
}

/// Copies every row into a database that has none, and verifies it. The source may be used meanwhile; the target is refused
/// by [`Db::open`] until the copy has ended well.
///
/// # Errors
/// Where the target has rows, either side fails, or what arrived differs.
pub async fn copy(from: &Db, to: &Db) -> Result<Vec<Copied>, CopyError> {
    let tables = Arc::new(schema::tables(to.migrations()).await?);
    let begun = Arc::clone(&tables);
    to.attempt(move |tx| begin(tx, &begun)).await?;
    let (sender, mut batches) = mpsc::channel(2);
    let sent = Arc::clone(&tables);
    let source = from.clone();
    let sending = tokio::spawn(async move { source.read(move |view| send(view, &sent, &sender)).await });
    while let Some(batch) = batches.recv().await {
        let tables = Arc::clone(&tables);
        to.write(move |tx| insert(tx, &tables[batch.table], &batch.rows))
            .await?;
        reach(Point::CopyFilled);
    }
    let sent = sending.await.map_err(|_| Error::Closed)??;
    let arrived = digests(to, &tables, None).await?;
    for (sent, arrived) in sent.iter().zip(&arrived) {
        if sent != arrived {
            let table = sent.table.clone();
            return Err(CopyError::Differs {
                table,
                sent: sent.rows,
                arrived: arrived.rows,
            });
        }
    }
    reach(Point::CopyCompared);
    to.write(|tx| tx.execute("DELETE FROM schema_version WHERE step = $1", values![UNFINISHED]))
        .await?;
    Ok(arrived)
}

/// Counts and digests of every table, as [`copy`] compares them: alike on both engines.
///
/// # Errors
/// Of the database.
pub async fn verify(db: &Db) -> Result<Vec<Copied>, CopyError> {
    let tables = Arc::new(schema::tables(db.migrations()).await?);
    Ok(digests(db, &tables, None).await?)
}

/// Counts and digests of the rows that are one tenant's own, table by table: whether anything of it changed, and whether it
/// is all there elsewhere.
///
/// # Errors
/// Of the database.
pub async fn of_tenant(db: &Db, scope: &Scope) -> Result<Vec<Copied>, CopyError> {
    let mut tables = schema::tables(db.migrations()).await?;
    tables.retain(|table| table.owner().is_some());
    Ok(digests(db, &Arc::new(tables), Some(*scope)).await?)
}

fn begin(tx: &mut Tx, tables: &[Table]) -> Result<(), CopyError> {
    for table in tables {
        if tx
            .row(format!("SELECT 1 FROM {} LIMIT 1", table.name), values![])?
            .is_some()
        {
            return Err(CopyError::NotEmpty {
                table: table.name.clone(),
            });
        }
    }
    tx.execute(
        "INSERT INTO schema_version (step, name, digest, applied_at) VALUES ($1, 'a copy is being made', $2, 0)",
        values![UNFINISHED, [0_u8; 32]],
    )?;
    Ok(())
}

fn insert(tx: &mut Tx, table: &Table, rows: &[Vec<Value>]) -> Result<(), Error> {
    let head = format!("INSERT INTO {} ({})", table.name, table.column_names());
    tx.execute_many(&head, "", rows.iter().cloned())?;
    Ok(())
}

/// Sends every table in batches, and says what was sent.
fn send(view: &mut View, tables: &[Table], to: &mpsc::Sender<Batch>) -> Result<Vec<Copied>, Error> {
    let mut sent = Vec::with_capacity(tables.len());
    for (number, table) in tables.iter().enumerate() {
        let mut digest = Running::new();
        let mut after: Option<Vec<Value>> = None;
        loop {
            let rows = batch(view, table, after.as_deref())?;
            let Some(last) = rows.last() else { break };
            after = Some(table.key.iter().map(|at| last[*at].clone()).collect());
            rows.iter().for_each(|row| digest.add(row));
            // Whoever receives may have failed; the error is theirs.
            if to.blocking_send(Batch { table: number, rows }).is_err() {
                return Err(Error::Closed);
            }
        }
        sent.push(digest.end(table));
    }
    Ok(sent)
}

/// Rows after this key, up to a number and a size.
fn batch(view: &mut View, table: &Table, after: Option<&[Value]>) -> Result<Vec<Vec<Value>>, Error> {
    let key = table.key_names();
    let from = after.map_or_else(String::new, |after| {
        format!("WHERE ({key}) > ({})", crate::db::placeholders(1, after.len()))
    });
    let sql = format!(
        "SELECT {} FROM {} {from} ORDER BY {key} LIMIT {BATCH_ROWS}",
        table.column_names(),
        table.name
    );
    let (mut rows, mut bytes) = (Vec::new(), 0);
    view.each(sql, after.unwrap_or_default().to_vec(), |row| {
        let row = read(table, row)?;
        bytes += row.iter().map(size).sum::<usize>();
        rows.push(row);
        Ok(if bytes > BATCH_BYTES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    Ok(rows)
}

async fn digests(db: &Db, tables: &Arc<Vec<Table>>, scope: Option<Scope>) -> Result<Vec<Copied>, Error> {
    let tables = Arc::clone(tables);
    db.read(move |view| {
        let mut all = Vec::with_capacity(tables.len());
        for table in tables.iter() {
            let mut digest = Running::new();
            let own = match (scope, table.owner()) {
                (Some(_), Some(owner)) => format!("WHERE {owner} = $1"),
                _ => String::new(),
            };
            let (columns, name, key) = (table.column_names(), &table.name, table.key_names());
            let sql = format!("SELECT {columns} FROM {name} {own} ORDER BY {key}");
            let values = scope.iter().map(Value::from).collect();
            view.each(sql, values, |row| {
                digest.add(&read(table, row)?);
                Ok(ControlFlow::Continue(()))
            })?;
            all.push(digest.end(table));
        }
        Ok(all)
    })
    .await
}

fn read(table: &Table, row: &Row) -> Result<Vec<Value>, Error> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| column.kind.read(row, at))
        .collect()
}

const fn size(value: &Value) -> usize {
    match value {
        Value::Text(Some(text)) => text.len(),
        Value::Bytes(Some(bytes)) => bytes.len(),
        _ => 8,
    }
}

/// A digest over rows: each value behind its type and length.
struct Running {
    context: Context,
    rows: u64,
}

impl Running {
    fn new() -> Self {
        Self {
            context: Context::new(&SHA256),
            rows: 0,
        }
    }

    fn add(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            let number;
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Int(None) | Value::Text(None) | Value::Bytes(None) => (0, &[]),
                Value::Int(Some(n)) => {
                    number = n.to_be_bytes();
                    (1, &number)
                }
                Value::Text(Some(text)) => (2, text.as_bytes()),
                Value::Bytes(Some(bytes)) => (3, bytes),
            };
            self.context.update(&[kind]);
            self.context.update(&(bytes.len() as u64).to_be_bytes());
            self.context.update(bytes);
        }
    }

    fn end(self, table: &Table) -> Copied {
        let digest = self
            .context
            .finish()
            .as_ref()
            .try_into()
            .expect("a SHA-256 digest has 32 bytes");
        Copied {
            table: table.name.clone(),
            rows: self.rows,
            digest: Sha256Digest(digest),
        }
    }
}
