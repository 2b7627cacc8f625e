//! Fail-points: named places around durable steps, at which a test ends the process to see that nothing acknowledged is
//! lost and nothing half-done shows. They are there in builds with debug assertions only: what is released has none.

/// One row of the table: its name in the code, its name for people, and what has been done when it is reached.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal;)*) => {
        /// A place at which a process may be ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {$($(#[$doc])* $point,)*}

        impl Point {
            /// Every point, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// Its name for people and between processes.
            pub const fn name(self) -> &'static str {
                match self {$(Self::$point => $name),*}
            }
        }
    };
}

points! {
    /// A file of the content store is written and not flushed.
    ContentWritten = "content-written";
    /// It is flushed and has no name.
    ContentFlushed = "content-flushed";
    /// It has its name, and its folder is not flushed.
    ContentNamed = "content-named";
    /// A new shelf of the content store is made and not flushed.
    ContentShelved = "content-shelved";
    /// A file of the content store that nobody refers to is about to go.
    ContentSwept = "content-swept";
    /// A change of the database is made and not committed.
    Changed = "changed";
    /// It is committed, and nobody was told.
    Committed = "committed";
    /// A step of a migration is done; its transaction goes on.
    Migrated = "migrated";
    /// A database is copied whole into a file, which has its name.
    Copied = "copied";
    /// Some rows of a copy have arrived.
    CopyFilled = "copy-filled";
    /// All rows of a copy are there and compared; it is still marked as unfinished.
    CopyCompared = "copy-compared";
    /// A key file is written beside its name and not flushed.
    KeyWritten = "key-written";
    /// It is flushed, and still has another name.
    KeyFlushed = "key-flushed";
    /// It has its name, and its folder is not flushed.
    KeyNamed = "key-named";
    /// A host is let in, and was not told.
    HostEnrolled = "host-enrolled";
    /// Documents of a host are kept, and it was not told.
    DocumentsKept = "documents-kept";
    /// The files of a snapshot are kept, and no row names them.
    SnapshotFetched = "snapshot-fetched";
    /// A snapshot is adopted, and nothing was derived from it.
    SnapshotAdopted = "snapshot-adopted";
    /// The bitmaps of a new generation are stored; how hosts stand is not.
    FindingsStored = "findings-stored";
    /// Some hosts' standing of a new generation is stored.
    StandingsStored = "standings-stored";
    /// Orders are signed and their bundles kept, and no row names them.
    OrdersSigned = "orders-signed";
    /// Orders are made or taken back, and their hosts were not told.
    OrdersDecided = "orders-decided";
    /// A host may begin, and was not told.
    GoPermitted = "go-permitted";
    /// What a host said of its orders is kept, and it was not told.
    ReportsKept = "reports-kept";
    /// Some audit records are in their chains.
    AuditSealed = "audit-sealed";
    /// A backup is noted as begun, and nothing of it written.
    BackupBegun = "backup-begun";
    /// A file of a backup is written and not flushed.
    BackupFilled = "backup-filled";
    /// A backup is complete but for its manifest.
    BackupListed = "backup-listed";
    /// A backup is whole, and has not got its name.
    BackupWhole = "backup-whole";
    /// A backup has its name, and is not noted as complete.
    BackupNamed = "backup-named";
    /// A restored database is filled, and its new epoch not begun.
    RestoreFilled = "restore-filled";
    /// A restored data directory is complete, and has not got its name.
    RestoreWhole = "restore-whole";
    /// It has its name, and its folder is not flushed.
    RestoreNamed = "restore-named";
}

#[cfg(debug_assertions)]
static ON_REACH: std::sync::OnceLock<fn(Point)> = std::sync::OnceLock::new();

/// Has every point that is reached from now on call this. Once a process; a later call changes nothing.
#[cfg(debug_assertions)]
pub fn on_reach(hook: fn(Point)) {
    // A second test of the same process keeps the first one's hook.
    let _set_before = ON_REACH.set(hook);
}

/// Says that a point is reached.
#[inline]
pub fn reach(point: Point) {
    #[cfg(debug_assertions)]
    if let Some(hook) = ON_REACH.get() {
        hook(point);
    }
    #[cfg(not(debug_assertions))]
    let _nothing = point;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_points_share_a_name() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
