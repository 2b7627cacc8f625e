//! How guessing is made slow: each failure of a name or an address doubles the time until its next try is looked at. The
//! memory is bounded: a table of fixed size in which two strangers may share a row, which makes both wait.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// Rows of the table.
const ROWS: usize = 1 << 14;
/// Failures that cost nothing: people mistype.
const FREE: u32 = 4;
/// After this long without a failure all is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Whose failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose<'a> {
    /// Those for a user's name. The wait stays short, so that nobody can lock another one out.
    Name(&'a str),
    /// Those from an address.
    Address(std::net::IpAddr),
}

impl Whose<'_> {
    const fn longest_wait(self) -> SignedDuration {
        match self {
            Self::Name(_) => SignedDuration::from_secs(16),
            Self::Address(_) => SignedDuration::from_mins(15),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    failures: u32,
    last: Timestamp,
}

/// The failures of late.
#[derive(Debug)]
pub struct SlowDown {
    rows: Mutex<Vec<Row>>,
    hasher: RandomState,
}

impl Default for SlowDown {
    fn default() -> Self {
        Self {
            rows: Mutex::new(vec![Row::default(); ROWS]),
            hasher: RandomState::new(),
        }
    }
}

impl SlowDown {
    /// Seconds until a try of these is looked at; none when it may be looked at now.
    pub fn wait_seconds(&self, whose: &[Whose<'_>], now: Timestamp) -> Option<u32> {
        let rows = self.rows.lock().expect("nobody panics while holding it");
        let waits = whose.iter().filter_map(|one| {
            let row = rows[self.row_of(*one)];
            let doublings = row.failures.checked_sub(FREE + 1)?.min(20);
            let wait = SignedDuration::from_secs(1 << doublings).min(one.longest_wait());
            // A clock that was set back counts as no time passed, and waits no longer than the whole wait.
            let left = wait - now.duration_since(row.last).max(SignedDuration::ZERO);
            left.is_positive()
                .then(|| u32::try_from(left.as_secs() + 1).unwrap_or(u32::MAX))
        });
        waits.max()
    }

    /// Somebody failed.
    pub fn failed(&self, whose: &[Whose<'_>], now: Timestamp) {
        let mut rows = self.rows.lock().expect("nobody panics while holding it");
        for one in whose {
            let row = &mut rows[self.row_of(*one)];
            if now.duration_since(row.last) > FORGOTTEN_AFTER {
                row.failures = 0;
            }
            row.failures = row.failures.saturating_add(1);
            row.last = now;
        }
    }

    /// Somebody got in: the failures of the name are forgotten. Those of the address are not, or one good account would
    /// pay for guessing at others.
    pub fn succeeded(&self, name: &str) {
        let mut rows = self.rows.lock().expect("nobody panics while holding it");
        rows[self.row_of(Whose::Name(name))] = Row::default();
    }

    fn row_of(&self, whose: Whose<'_>) -> usize {
        (self.hasher.hash_one(whose) % ROWS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower_and_a_mistyped_password_does_not_hurt() {
        let slow = SlowDown::default();
        let guesser = [Whose::Address([192, 0, 2, 7].into())];
        let mut now = Timestamp::UNIX_EPOCH;
        let mut tries = 0;
        let mut last_wait = 0;
        while tries < 30 {
            match slow.wait_seconds(&guesser, now) {
                None => {
                    slow.failed(&guesser, now);
                    tries += 1;
                }
                Some(seconds) => {
                    assert!(tries > FREE, "a wait after {tries} failures");
                    assert!(
                        seconds >= last_wait && seconds <= 901,
                        "{seconds} after {last_wait}"
                    );
                    last_wait = seconds;
                    now += SignedDuration::from_secs(i64::from(seconds));
                }
            }
        }
        assert!(
            now.as_second() > 3600 * 4,
            "30 guesses took {} s",
            now.as_second()
        );
        let other = [Whose::Address([192, 0, 2, 8].into())];
        assert_eq!(slow.wait_seconds(&other, now), None);
    }

    #[test]
    fn nobody_is_locked_out_for_long_by_others_guessing_at_her_name() {
        let slow = SlowDown::default();
        let now = Timestamp::UNIX_EPOCH;
        for _ in 0..1000 {
            slow.failed(&[Whose::Name("ada")], now);
        }
        assert!(
            slow.wait_seconds(&[Whose::Name("ada")], now)
                .is_some_and(|seconds| seconds <= 17)
        );
        slow.succeeded("ada");
        assert_eq!(slow.wait_seconds(&[Whose::Name("ada")], now), None);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_longer() {
        let slow = SlowDown::default();
        let late = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
        for _ in 0..8 {
            slow.failed(&[Whose::Name("ada")], late);
        }
        let wait = slow.wait_seconds(&[Whose::Name("ada")], Timestamp::UNIX_EPOCH);
        assert!(wait.is_some_and(|seconds| seconds <= 17), "{wait:?}");
    }
}
