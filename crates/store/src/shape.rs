//! The shape of a database as it stands: its schema's age, its columns. For whoever looks after it, and for tests.

use crate::value::values;
use crate::{Error, Migrations, OpenError, Schema, Tx, View};
use domain::digest::Sha256Digest;
use jiff::Timestamp;

/// A step of the schema that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneStep {
    /// Its number, from 1.
    pub step: u32,
    /// Its name.
    pub name: String,
    /// SHA-256 over its text for both engines.
    pub digest: Sha256Digest,
    /// When it was done.
    pub applied_at: Timestamp,
}

/// The steps that were done, in order.
///
/// # Errors
/// Of the database.
pub fn done_steps(view: &mut View) -> Result<Vec<DoneStep>, Error> {
    view.list(
        "SELECT step, name, digest, applied_at FROM schema_version ORDER BY step",
        values![],
        |row| {
            Ok(DoneStep {
                step: row.get(0)?,
                name: row.get(1)?,
                digest: row.get(2)?,
                applied_at: row.get(3)?,
            })
        },
    )
}

/// The name and version of the engine.
///
/// # Errors
/// Of the database.
pub fn engine(view: &mut View) -> Result<String, Error> {
    let (name, sql) = if view.is_sqlite() {
        ("SQLite", "SELECT sqlite_version()")
    } else {
        ("PostgreSQL", "SELECT current_setting('server_version')")
    };
    let version = view.find(sql, values![], |row| row.get::<String>(0))?;
    Ok(format!("{name} {}", version.unwrap_or_default()))
}

/// How many rows each table has, in the order of names. Goes through every table.
///
/// # Errors
/// Of the database.
pub fn row_counts(view: &mut View) -> Result<Vec<(String, u64)>, Error> {
    let tables = if view.is_sqlite() {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    } else {
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    };
    let tables = view.list(tables, values![], |row| row.get::<String>(0))?;
    let mut counts = Vec::with_capacity(tables.len());
    for table in tables {
        let rows = view.find(format!("SELECT COUNT(*) FROM {table}"), values![], |row| {
            row.get(0)
        })?;
        counts.push((table, rows.unwrap_or(0)));
    }
    Ok(counts)
}

/// How the schema compares with this program's.
///
/// # Errors
/// Of the database.
pub fn schema(view: &mut View) -> Result<Schema, OpenError> {
    Migrations::default().compare(view)
}

/// Every column of every table, as `table.column kind`, sorted. Kinds are those of the dialect that both engines share.
///
/// # Errors
/// Of the database.
pub fn columns(view: &mut View) -> Result<Vec<String>, Error> {
    let sql = if view.is_sqlite() {
        "SELECT m.name || '.' || p.name || ' ' || p.type || CASE WHEN p.\"notnull\" = 1 THEN '' ELSE ' or absent' END
         FROM sqlite_schema m JOIN pragma_table_info(m.name) p
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT table_name || '.' || column_name || ' ' ||
             CASE data_type WHEN 'bigint' THEN 'INTEGER' WHEN 'text' THEN 'TEXT' WHEN 'bytea' THEN 'BLOB' ELSE data_type END ||
             CASE is_nullable WHEN 'NO' THEN '' ELSE ' or absent' END
         FROM information_schema.columns WHERE table_schema = current_schema()"
    };
    let mut columns = view.list(sql, values![], |row| row.get::<String>(0))?;
    columns.sort_unstable();
    Ok(columns)
}

/// Bytes that the database takes on its disk, free pages inside it included.
///
/// # Errors
/// Of the database.
pub fn size_bytes(view: &mut View) -> Result<u64, Error> {
    let sql = if view.is_sqlite() {
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    } else {
        "SELECT pg_database_size(current_database())"
    };
    Ok(view.find(sql, values![], |row| row.get(0))?.unwrap_or(0))
}

/// Lets the engine look at how many rows there are and how they are spread, by which it chooses its ways. For a daily chore.
///
/// # Errors
/// Of the database.
pub fn refresh_statistics(tx: &mut Tx) -> Result<(), Error> {
    if tx.is_sqlite() {
        // A sample of each index is enough, and takes milliseconds.
        tx.script("PRAGMA analysis_limit = 1000; ANALYZE")
    } else {
        tx.script("ANALYZE")
    }
}

/// Looks for damage: what the engine finds wrong, at most a hundred lines; none in a sound database. Reads all of an SQLite
/// file; PostgreSQL checks its pages by itself as it reads them.
///
/// # Errors
/// [`Error::Corrupt`] where it cannot even be looked through.
pub fn damage(view: &mut View) -> Result<Vec<String>, Error> {
    if !view.is_sqlite() {
        return Ok(Vec::new());
    }
    let mut found = view.list("PRAGMA integrity_check(100)", values![], |row| {
        row.get::<String>(0)
    })?;
    found.retain(|line| line != "ok");
    Ok(found)
}
