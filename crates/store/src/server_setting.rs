//! Settings of the server that all of its nodes share, each an opaque text under a name.

use crate::value::{Row, values};
use crate::{Change, Error, Tx, View, Whole};
use jiff::Timestamp;

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, for whoever reads it to parse.
    pub value: String,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

const COLUMNS: &str = "name, value, updated_at, version";

fn read(row: &Row) -> Result<Setting, Error> {
    let mut columns = row.columns();
    Ok(Setting {
        name: columns.next()?,
        value: columns.next()?,
        updated_at: columns.next()?,
        version: columns.next()?,
    })
}

/// The setting with this name.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, _: &Whole, name: &str) -> Result<Option<Setting>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM server_settings WHERE name = $1"),
        values![name],
        read,
    )
}

/// All settings in the order of names.
///
/// # Errors
/// Of the database.
pub fn all(view: &mut View, _: &Whole) -> Result<Vec<Setting>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM server_settings ORDER BY name"),
        values![],
        read,
    )
}

/// Sets it if it is still at this version; version 0 is that of a setting that was never made.
///
/// # Errors
/// Of the database.
pub fn set(
    tx: &mut Tx,
    whole: &Whole,
    name: &str,
    version: i64,
    value: &str,
    now: Timestamp,
) -> Result<Change<Setting>, Error> {
    let sql = if version == 0 {
        format!(
            "INSERT INTO server_settings (name, value, updated_at, version) VALUES ($1, $3, $4, $2 + 1)
             ON CONFLICT (name) DO NOTHING RETURNING {COLUMNS}"
        )
    } else {
        format!(
            "UPDATE server_settings SET value = $3, updated_at = $4, version = version + 1
             WHERE name = $1 AND version = $2 RETURNING {COLUMNS}"
        )
    };
    let changed = tx.find(sql, values![name, version, value, now], read)?;
    Change::of(changed, || get(tx, whole, name))
}
