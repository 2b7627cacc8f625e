//! The tables and columns as the migrations make them: what a copy goes through. Read from an empty database in memory, so
//! that no list of them is kept by hand.

use crate::db::{Db, Tuning, View};
use crate::error::Error;
use crate::migrations::{Migrations, OpenError};
use crate::value::{Field, Row, Value, values};
use jiff::Timestamp;
use std::path::Path;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name.
    pub name: String,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// The places of its key's columns.
    pub key: Vec<usize>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bytes,
}

impl Kind {
    /// The column of a row, which may be absent.
    pub(crate) fn read(self, row: &Row, at: usize) -> Result<Value, Error> {
        fn value<T: Field + Into<Value>>(row: &Row, at: usize) -> Result<Value, Error> {
            Ok(row.get::<Option<T>>(at)?.into())
        }
        match self {
            Self::Int => value::<i64>(row, at),
            Self::Text => value::<String>(row, at),
            Self::Bytes => value::<Vec<u8>>(row, at),
        }
    }
}

impl Table {
    /// The names of its columns, for a statement.
    pub(crate) fn column_names(&self) -> String {
        self.columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The column that says whose a row is.
    pub(crate) fn owner(&self) -> Option<&str> {
        let names = ["tenant_id", "owner"];
        let named = self
            .columns
            .iter()
            .find(|column| names.contains(&column.name.as_str()));
        match named {
            Some(column) => Some(&column.name),
            None if self.name == "tenants" => Some("id"),
            None => None,
        }
    }

    /// The names of its key's columns, for a statement.
    pub(crate) fn key_names(&self) -> String {
        self.key
            .iter()
            .map(|at| self.columns[*at].name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// All tables of this schema but the notes of migrations, each after those that it refers to.
pub(crate) async fn tables(migrations: &Migrations) -> Result<Vec<Table>, OpenError> {
    let tuning = Tuning {
        migrations: migrations.clone(),
        ..Tuning::default()
    };
    let nowhere = crate::Url::from(Path::new(":memory:"));
    let db = Db::open_tuned(&nowhere, tuning, Timestamp::UNIX_EPOCH).await?;
    let tables = db.write(|tx| read(tx)).await;
    db.close().await;
    Ok(tables?)
}

fn read(view: &mut View) -> Result<Vec<Table>, Error> {
    // Tables refer to tables of the same or an earlier migration above them: the order in which they were made will do.
    let names = view.list(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_version'
         ORDER BY rowid",
        values![],
        |row| row.get::<String>(0),
    )?;
    names.into_iter().map(|name| table(view, name)).collect()
}

fn table(view: &mut View, name: String) -> Result<Table, Error> {
    let mut key: Vec<(i64, usize)> = Vec::new();
    let mut columns = Vec::new();
    let rows = view.rows(
        "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid",
        values![&name],
    )?;
    for (at, row) in rows.iter().enumerate() {
        let kind = match row.get::<String>(1)?.as_str() {
            "INTEGER" => Kind::Int,
            "TEXT" => Kind::Text,
            _ => Kind::Bytes,
        };
        let place: i64 = row.get(2)?;
        if place > 0 {
            key.push((place, at));
        }
        columns.push(Column {
            name: row.get(0)?,
            kind,
        });
    }
    key.sort_unstable();
    Ok(Table {
        name,
        columns,
        key: key.into_iter().map(|(_, at)| at).collect(),
    })
}
