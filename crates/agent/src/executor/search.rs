//! How often files are looked for that have not come: at once when the network process rings, and ever more rarely otherwise.

use std::time::{Duration, Instant};

/// After a first look in vain.
const FIRST: Duration = Duration::from_secs(2);
/// At last.
const LONGEST: Duration = Duration::from_secs(30);

/// A search for files that was in vain so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    last: Instant,
    gap: Duration,
}

impl Search {
    /// The search after another look in vain.
    pub(super) fn in_vain(before: Option<Self>, now: Instant) -> Self {
        let gap = before.map_or(FIRST, |before| (before.gap * 2).min(LONGEST));
        Self { last: now, gap }
    }

    /// When to look again.
    pub(super) fn next(self) -> Instant {
        self.last + self.gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_do_not_come_are_looked_for_ever_more_rarely() {
        let began = super::super::now();
        let (mut search, mut looks) = (None, 0);
        let mut now = began;
        while now < began + Duration::from_secs(600) {
            let made = Search::in_vain(search, now);
            (search, looks) = (Some(made), looks + 1);
            now = made.next();
        }
        // 2, 4, 8, 16 and then 30 s apart.
        assert_eq!(looks, 23);
    }
}
