//! Leases: one node at a time does a piece of background work. Each taking gives a higher fencing token, and whoever writes
//! under a lease proves inside the same transaction that it is still the one.

use crate::value::{Row, values};
use crate::{Error, Tx, View, Whole};
use domain::id::NodeId;
use jiff::{SignedDuration, Timestamp};

/// A lease as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The work.
    pub name: String,
    /// Who does it.
    pub holder: NodeId,
    /// Rises with each taking.
    pub fencing: i64,
    /// Until when it holds without renewal.
    pub until: Timestamp,
}

/// What a holder carries to prove that it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    name: String,
    fencing: i64,
}

impl Fence {
    /// The lease.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fencing token.
    pub const fn token(&self) -> i64 {
        self.fencing
    }
}

fn read(row: &Row) -> Result<Lease, Error> {
    let mut columns = row.columns();
    Ok(Lease {
        name: columns.next()?,
        holder: columns.next()?,
        fencing: columns.next()?,
        until: columns.next()?,
    })
}

/// The clocks of a server's nodes differ by less.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

const COLUMNS: &str = "name, holder, fencing, until";

/// Takes or renews the lease until the given time. `None` while another holds it. The token stays the same as long as one
/// holder renews in time, and rises whenever the lease had run out or changes hands.
///
/// # Errors
/// Of the database.
pub fn take(
    tx: &mut Tx,
    _: &Whole,
    name: &str,
    holder: NodeId,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Fence>, Error> {
    // Used in a future that lies further ahead than clocks of nodes differ: a clock was wrong, and the time that the lease
    // was taken for may never come.
    let soon = now.checked_add(CLOCKS_DIFFER).unwrap_or(Timestamp::MAX);
    let taken = tx.find(
        "INSERT INTO leases (name, holder, fencing, until, used_at) VALUES ($1, $2, 1, $4, $3)
         ON CONFLICT (name) DO UPDATE SET
             fencing = CASE WHEN leases.holder = excluded.holder AND leases.until > excluded.used_at
                 THEN leases.fencing ELSE leases.fencing + 1 END,
             holder = excluded.holder, until = excluded.until, used_at = excluded.used_at
         WHERE leases.holder = excluded.holder OR leases.until <= excluded.used_at OR leases.used_at > $5
         RETURNING fencing",
        values![name, holder, now, until, soon],
        |row| row.get(0),
    )?;
    Ok(taken.map(|fencing| Fence {
        name: name.to_owned(),
        fencing,
    }))
}

/// Gives the lease back before its time; nothing if it is lost already.
///
/// # Errors
/// Of the database.
pub fn give_back(tx: &mut Tx, _: &Whole, fence: &Fence, now: Timestamp) -> Result<(), Error> {
    tx.execute(
        "UPDATE leases SET until = $3 WHERE name = $1 AND fencing = $2 AND until > $3",
        values![&fence.name, fence.fencing, now],
    )?;
    Ok(())
}

/// Makes sure that the lease is still this holder's until this transaction ends: nobody can take it meanwhile. Call it first
/// in every transaction that writes under a lease.
///
/// # Errors
/// [`Error::Fenced`] if another took it.
pub fn hold(tx: &mut Tx, _: &Whole, fence: &Fence, now: Timestamp) -> Result<(), Error> {
    let held = tx.execute(
        "UPDATE leases SET used_at = $3 WHERE name = $1 AND fencing = $2",
        values![&fence.name, fence.fencing, now],
    )?;
    match held {
        0 => Err(Error::Fenced {
            lease: fence.name.clone().into(),
        }),
        _ => Ok(()),
    }
}

/// All leases in the order of names.
///
/// # Errors
/// Of the database.
pub fn all(view: &mut View, _: &Whole) -> Result<Vec<Lease>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM leases ORDER BY name"),
        values![],
        read,
    )
}
