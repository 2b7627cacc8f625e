//! The time that an agent goes by: the last time that the server signed, carried on by the clock that counts since the
//! boot. The computer's own date plays no part in it. The state is journalled before a time is relied upon.

use super::BootId;
use jiff::{SignedDuration, Timestamp};

/// Where the boot clock stands (clock_gettime(2), CLOCK_BOOTTIME, which runs on in sleep).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootClock {
    /// The boot that it counts from.
    pub boot: BootId,
    /// Microseconds since then.
    pub micros: u64,
}

/// What an agent knows of time, as it is journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentTime {
    /// The last time that the server signed.
    pub heard: Timestamp,
    /// Where the boot clock stood then.
    pub heard_at: BootClock,
    /// The latest time that was relied upon: nothing earlier ever is.
    pub floor: Timestamp,
    /// How far the floor was ahead of the server's time when that was heard, in seconds; 0 if it was not.
    pub ahead_seconds: i64,
}

/// The server's time is now behind one that was already relied upon: nothing that depends on time may start.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the server's time is {behind_seconds} s behind the time that this host already went by")]
pub struct TimeWentBack {
    /// How far, in seconds.
    pub behind_seconds: i64,
}

/// How far the server's time may fall back without a word, in seconds: servers of one house differ a little.
pub const TOLERANCE_SECONDS: i64 = 120;

impl AgentTime {
    /// Time as it is first heard.
    pub fn first(server: Timestamp, clock: BootClock) -> Self {
        Self {
            heard: server,
            heard_at: clock,
            floor: server,
            ahead_seconds: 0,
        }
    }

    /// The best estimate: what was heard, and how long ago that was. After a restart only the time since the boot is
    /// known to have passed, so that it is behind until the server is heard again.
    pub fn estimate(&self, clock: BootClock) -> Timestamp {
        let passed = if clock.boot == self.heard_at.boot {
            clock.micros.saturating_sub(self.heard_at.micros)
        } else {
            clock.micros
        };
        let passed = SignedDuration::from_micros(i64::try_from(passed).unwrap_or(i64::MAX));
        self.heard.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// The state after an answer that the server signed at `server`. It follows the server in both directions, so that
    /// a server whose clock was wrong is heard again when it is right; the floor stays.
    #[must_use]
    pub fn hear(self, server: Timestamp, clock: BootClock) -> Self {
        Self {
            heard: server,
            heard_at: clock,
            floor: self.floor,
            ahead_seconds: self.floor.duration_since(server).as_secs().max(0),
        }
    }

    /// A time to rely on, for windows and expiry, and the state to journal before it is used. It never goes back.
    ///
    /// # Errors
    /// [`TimeWentBack`] while the estimate is behind the floor by more than [`TOLERANCE_SECONDS`]: a clock that was a
    /// year ahead must not stand still inside a window for that year.
    pub fn rely(self, clock: BootClock) -> Result<(Self, Timestamp), TimeWentBack> {
        let estimate = self.estimate(clock);
        let behind = self.floor.duration_since(estimate);
        // What a restart hides is no fault of the server: until it is heard again, the floor stands.
        if self.ahead_seconds > TOLERANCE_SECONDS && behind.as_secs() > TOLERANCE_SECONDS {
            return Err(TimeWentBack {
                behind_seconds: behind.as_secs(),
            });
        }
        let floor = self.floor.max(estimate);
        Ok((Self { floor, ..self }, floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn clock(boot: u8, seconds: u64) -> BootClock {
        BootClock {
            boot: BootId([boot; 16]),
            micros: seconds * SECOND,
        }
    }

    #[test]
    fn time_runs_with_the_boot_clock_and_not_with_the_date() {
        let time = AgentTime::first(at(1_000), clock(1, 50));
        assert_eq!(time.estimate(clock(1, 80)), at(1_030));
        assert_eq!(time.estimate(clock(1, 20)), at(1_000));
    }

    #[test]
    fn after_a_restart_at_least_the_time_since_the_boot_has_passed() {
        let time = AgentTime::first(at(1_000), clock(1, 50));
        assert_eq!(time.estimate(clock(2, 7)), at(1_007));
    }

    #[test]
    fn a_time_relied_upon_never_goes_back_over_a_restart() {
        let time = AgentTime::first(at(1_000), clock(1, 0));
        let (journalled, before) = time.rely(clock(1, 3_600)).expect("it runs");
        assert_eq!(before, at(4_600));
        let (_, after) = journalled.rely(clock(2, 5)).expect("not heard since");
        assert_eq!(after, at(4_600));
    }

    #[test]
    fn a_server_that_falls_back_a_year_stops_what_depends_on_time_and_is_believed_again_later() {
        let year = 365 * 86_400;
        let ahead = AgentTime::first(at(0), clock(1, 0)).hear(at(year), clock(1, 10));
        let (ahead, relied) = ahead.rely(clock(1, 10)).expect("it goes forward");
        assert_eq!(relied, at(year));
        let corrected = ahead.hear(at(20), clock(1, 20));
        assert_eq!(corrected.estimate(clock(1, 21)), at(21));
        assert_eq!(
            corrected.rely(clock(1, 20)),
            Err(TimeWentBack {
                behind_seconds: year - 20
            })
        );
        let restarted = corrected.rely(clock(2, 5));
        assert!(restarted.is_err(), "{restarted:?}");
        let caught_up = corrected.rely(clock(1, u64::try_from(year).expect("positive")));
        assert_eq!(caught_up.map(|(_, relied)| relied), Ok(at(year)));
    }

    #[test]
    fn a_clock_at_the_end_of_time_stays_there() {
        let time = AgentTime::first(Timestamp::MAX, clock(1, 0));
        let end = BootClock {
            boot: BootId([1; 16]),
            micros: u64::MAX,
        };
        assert_eq!(time.estimate(end), Timestamp::MAX);
    }
}
