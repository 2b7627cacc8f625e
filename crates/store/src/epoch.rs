//! Epochs: the server's lives. A restore begins a new one, so that nothing from before it is taken for the present.

use crate::value::{Row, values};
use crate::{Error, Tx, View, Whole};
use domain::id::EpochId;
use jiff::Timestamp;

/// A life of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Counts lives, from 1.
    pub number: i64,
    /// Names this life: two restores of one backup differ by it.
    pub id: EpochId,
    /// When it began.
    pub started_at: Timestamp,
    /// Why it began, in a word or two for people.
    pub reason: String,
    /// Order numbers up to this one may have been given away already.
    pub order_floor: i64,
}

const COLUMNS: &str = "number, id, started_at, reason, order_floor";

fn read(row: &Row) -> Result<Epoch, Error> {
    let mut columns = row.columns();
    Ok(Epoch {
        number: columns.next()?,
        id: columns.next()?,
        started_at: columns.next()?,
        reason: columns.next()?,
        order_floor: columns.next()?,
    })
}

/// The present life; none before the first start.
///
/// # Errors
/// Of the database.
pub fn current(view: &mut View, _: &Whole) -> Result<Option<Epoch>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM epochs ORDER BY number DESC LIMIT 1"),
        values![],
        read,
    )
}

/// All lives, the first one first.
///
/// # Errors
/// Of the database.
pub fn all(view: &mut View, _: &Whole) -> Result<Vec<Epoch>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM epochs ORDER BY number"),
        values![],
        read,
    )
}

/// Begins the next life; order numbers go on from where the last one was.
///
/// # Errors
/// [`Error::Taken`] where another node did so at the same time.
pub fn begin(tx: &mut Tx, whole: &Whole, id: EpochId, reason: &str, now: Timestamp) -> Result<Epoch, Error> {
    let last = current(tx, whole)?;
    let (number, order_floor) = last.map_or((1, 0), |last| (last.number + 1, last.order_floor));
    tx.execute(
        "INSERT INTO epochs (number, id, started_at, reason, order_floor) VALUES ($1, $2, $3, $4, $5)",
        values![number, id, now, reason, order_floor],
    )?;
    Ok(Epoch {
        number,
        id,
        started_at: now,
        reason: reason.to_owned(),
        order_floor,
    })
}

/// Says that orders up to this number exist somewhere: agents report the highest they know. The floor never sinks.
///
/// # Errors
/// Of the database.
pub fn raise_order_floor(tx: &mut Tx, _: &Whole, seen: i64) -> Result<(), Error> {
    tx.execute(
        "UPDATE epochs SET order_floor = $1
         WHERE number = (SELECT MAX(number) FROM epochs) AND order_floor < $1",
        values![seen],
    )?;
    Ok(())
}

/// The next order number, given away once.
///
/// # Errors
/// Of the database.
pub fn next_order_number(tx: &mut Tx, _: &Whole) -> Result<Option<i64>, Error> {
    tx.find(
        "UPDATE epochs SET order_floor = order_floor + 1
         WHERE number = (SELECT MAX(number) FROM epochs) RETURNING order_floor",
        values![],
        |row| row.get(0),
    )
}
