//! Lists in pieces: a page begins after the key at which the one before ended, so that it costs the same wherever it is and
//! rows that come and go between two pages are neither repeated nor skipped.

/// Some rows, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<Row, Key> {
    /// In the order of their keys.
    pub rows: Vec<Row>,
    /// The key of the last row, if there are more after it.
    pub next: Option<Key>,
}

impl<Row, Key> Page<Row, Key> {
    /// From up to `limit + 1` rows: the one too many says that there are more.
    pub(crate) fn of(mut rows: Vec<Row>, limit: u32, key: impl FnOnce(&Row) -> Key) -> Self {
        let limit = limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = if has_more { rows.last().map(key) } else { None };
        Self { rows, next }
    }
}

/// The key of lists in the order of names: a name, and the id among those of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByName<Id> {
    /// The name, compared byte by byte.
    pub name: String,
    /// The id.
    pub id: Id,
}
