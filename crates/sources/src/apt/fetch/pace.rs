//! How fast a file has to come, and until when: the answer to slow retrieval and endless data.

use super::address::Address;
use super::{FetchError, FetchLimits};
use std::time::Instant;

/// The present moment of the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "pace and deadline of a transfer are real time, not a rule's"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The pace of one transfer.
#[derive(Debug)]
pub(super) struct Pace {
    limits: FetchLimits,
    deadline: Instant,
    window_start: Instant,
    window_bytes: u64,
}

/// Why a transfer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// Too few bytes in a window.
    Rate,
    /// The total time is over.
    Deadline,
}

impl Failing {
    pub(super) fn of(self, address: &Address, limits: &FetchLimits) -> FetchError {
        let uri = address.to_string();
        match self {
            Self::Rate => FetchError::TooSlow {
                uri,
                limit: limits.min_bytes_per_second,
            },
            Self::Deadline => FetchError::Deadline {
                uri,
                limit: limits.total,
            },
        }
    }
}

impl Pace {
    pub(super) fn new(limits: FetchLimits, deadline: Instant) -> Self {
        Self {
            limits,
            deadline,
            window_start: now(),
            window_bytes: 0,
        }
    }

    /// Counts bytes that arrived now.
    pub(super) fn took(&mut self, bytes: usize) -> Result<(), Failing> {
        self.took_at(bytes, now())
    }

    fn took_at(&mut self, bytes: usize, now: Instant) -> Result<(), Failing> {
        if now >= self.deadline {
            return Err(Failing::Deadline);
        }
        self.window_bytes += bytes as u64;
        let elapsed = now.saturating_duration_since(self.window_start);
        if elapsed < self.limits.rate_window {
            return Ok(());
        }
        let least = self.limits.min_bytes_per_second as u128 * elapsed.as_millis() / 1000;
        if u128::from(self.window_bytes) < least {
            return Err(Failing::Rate);
        }
        self.window_start = now;
        self.window_bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ten_kibibytes_a_second_are_enough_and_one_byte_less_is_not() {
        let start = now();
        let second = |n: u64| start + Duration::from_secs(n);
        let pace = || Pace {
            window_start: start,
            ..Pace::new(FetchLimits::default(), second(1000))
        };
        let mut enough = pace();
        for n in 1..100 {
            assert_eq!(enough.took_at(10 * 1024, second(n)), Ok(()), "second {n}");
        }
        let mut slow = pace();
        let given_up = (1..100).find(|&n| slow.took_at(10 * 1024 - 1, second(n)).is_err());
        assert_eq!(given_up, Some(10), "the rate is taken over ten seconds");
    }

    #[test]
    fn a_fast_beginning_does_not_pay_for_a_slow_rest() {
        let start = now();
        let second = |n: u64| start + Duration::from_secs(n);
        let mut pace = Pace {
            window_start: start,
            ..Pace::new(FetchLimits::default(), second(1000))
        };
        assert_eq!(pace.took_at(100 << 20, second(10)), Ok(()));
        let given_up = (11..100).find(|&n| pace.took_at(1, second(n)).is_err());
        assert_eq!(given_up, Some(20));
    }

    #[test]
    fn nothing_is_taken_after_the_deadline() {
        let start = now();
        let mut pace = Pace::new(FetchLimits::default(), start + Duration::from_secs(5));
        assert_eq!(pace.took_at(1 << 30, start + Duration::from_secs(4)), Ok(()));
        assert_eq!(
            pace.took_at(1 << 30, start + Duration::from_secs(5)),
            Err(Failing::Deadline)
        );
    }
}
