//! What a compare-and-set says: done, or what stands there instead.

/// The outcome of a change that names the version it was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change may have been refused"]
pub enum Change<T> {
    /// It was made; this is the row now.
    Changed(T),
    /// Another was faster; this is the row as it stands.
    Conflict(T),
    /// There is no such row in this scope.
    Absent,
}

impl<T> Change<T> {
    /// Whether it was made.
    pub const fn is_changed(&self) -> bool {
        matches!(self, Self::Changed(_))
    }

    /// The row, if the change was made.
    pub fn changed(self) -> Option<T> {
        match self {
            Self::Changed(row) => Some(row),
            Self::Conflict(_) | Self::Absent => None,
        }
    }

    /// From what an `UPDATE ... RETURNING` gave back, and how the row is read where it gave nothing.
    pub(crate) fn of<E>(
        changed: Option<T>,
        current: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Self, E> {
        Ok(match changed {
            Some(row) => Self::Changed(row),
            None => current()?.map_or(Self::Absent, Self::Conflict),
        })
    }
}
