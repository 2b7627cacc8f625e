//! How each file that hosts are given came here, and what a scan said of it: the record that is kept of a file for as long as
//! its source is. A file that a scan found bad is served to nobody, whoever was granted it.

use crate::value::{Row, values, words};
use crate::{Error, Owner, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use jiff::Timestamp;

words! {
    /// What a scan said of a file.
    pub enum ScanState {
        /// Nothing was found.
        Clean = "clean",
        /// Something was.
        Infected = "infected",
        /// It was not scanned: the scanner could not be asked, or refused.
        NotScanned = "not_scanned",
    }
}

/// A file as a source gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquisition {
    /// Whose source it is.
    pub owner: Owner,
    /// The source.
    pub source: SourceId,
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Where it stood, below the source's address.
    pub place: String,
    /// SHA-256 of the release file that vouches for it.
    pub release: Sha256Digest,
    /// Fingerprints of the certificates that signed that, as JSON.
    pub signed_by: String,
    /// When it was found to be the one that was vouched for.
    pub acquired_at: Timestamp,
}

/// What the last scan of a file said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The file.
    pub digest: Sha256Digest,
    /// What was said.
    pub state: ScanState,
    /// In the scanner's words: what was found, or why it was not scanned.
    pub detail: String,
    /// The scanner with its version and the date of its signatures; empty where it could not be asked.
    pub engine: String,
    /// When.
    pub scanned_at: Timestamp,
}

const COLUMNS: &str = "owner, source_id, digest, size_bytes, place, release_digest, signed_by, acquired_at";

fn read(row: &Row) -> Result<Acquisition, Error> {
    let mut columns = row.columns();
    Ok(Acquisition {
        owner: columns.next()?,
        source: columns.next()?,
        digest: columns.next()?,
        size_bytes: columns.next()?,
        place: columns.next()?,
        release: columns.next()?,
        signed_by: columns.next()?,
        acquired_at: columns.next()?,
    })
}

fn read_scan(row: &Row) -> Result<Scan, Error> {
    let mut columns = row.columns();
    Ok(Scan {
        digest: columns.next()?,
        state: columns.next()?,
        detail: columns.next()?,
        engine: columns.next()?,
        scanned_at: columns.next()?,
    })
}

/// Notes how files came here; what is noted already stays as it is.
///
/// # Errors
/// [`Error::NoSuchRow`] where the source is gone.
pub fn note(tx: &mut Tx, _: &Whole, files: &[Acquisition]) -> Result<(), Error> {
    tx.execute_many(
        "INSERT INTO acquisitions (owner, source_id, digest, size_bytes, place, release_digest, signed_by, acquired_at)",
        "ON CONFLICT (owner, source_id, digest) DO NOTHING",
        files.iter().map(|file| {
            values![
                file.owner,
                file.source,
                file.digest,
                file.size_bytes,
                &file.place,
                file.release,
                &file.signed_by,
                file.acquired_at
            ]
        }),
    )?;
    Ok(())
}

/// How a file came here, from the sources that the tenant sees.
///
/// # Errors
/// Of the database.
pub fn of_digest(view: &mut View, scope: &Scope, digest: Sha256Digest) -> Result<Vec<Acquisition>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM acquisitions WHERE owner IN ($1, $2) AND digest = $3
             ORDER BY acquired_at, owner, source_id"
        ),
        values![Owner::Shared, scope, digest],
        read,
    )
}

/// Notes what a scan said, in the place of what the one before did. What once was found bad stays so.
///
/// # Errors
/// Of the database.
pub fn note_scan(tx: &mut Tx, _: &Whole, scan: &Scan) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO content_scans (digest, state, detail, engine, scanned_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (digest) DO UPDATE SET
             state = excluded.state, detail = excluded.detail, engine = excluded.engine, scanned_at = excluded.scanned_at
         WHERE content_scans.state <> 'infected'",
        values![scan.digest, scan.state, &scan.detail, &scan.engine, scan.scanned_at],
    )?;
    Ok(())
}

/// What the last scan of a file said.
///
/// # Errors
/// Of the database.
pub fn scan(view: &mut View, _: &Whole, digest: Sha256Digest) -> Result<Option<Scan>, Error> {
    view.find(
        "SELECT digest, state, detail, engine, scanned_at FROM content_scans WHERE digest = $1",
        values![digest],
        read_scan,
    )
}
