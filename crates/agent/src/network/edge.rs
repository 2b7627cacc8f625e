//! Clocks, chance and sleep of the real world.

use crate::session::{Chance, Moment};
use domain::identity::BootId;
use domain::identity::time::BootClock;
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// This moment.
pub(super) fn moment() -> Moment {
    let mut chance = [0; 32];
    SystemRandom::new()
        .fill(&mut chance)
        .expect("Linux has chance to give since version 3.17");
    Moment {
        boot_clock: boot_clock(),
        wall_clock: wall_clock(),
        chance: Chance(chance),
    }
}

/// The clock since the boot, sleep included; without the kernel's id of the boot each start counts as another one.
pub fn boot_clock() -> BootClock {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let micros = u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000;
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let boot = u128::from_str_radix(&digits, 16).unwrap_or_default();
    BootClock {
        boot: BootId(boot.to_be_bytes()),
        micros: seconds * 1_000_000 + micros,
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: the computer's own date")]
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "the edge: pauses are real time")]
pub(super) fn sleep(delay: Duration) {
    std::thread::sleep(delay);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: how often the executor is asked is real time"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Whether this long has passed since, or nothing ever was.
pub(super) fn is_past(since: Option<Instant>, long: Duration) -> bool {
    since.is_none_or(|since| now().saturating_duration_since(since) >= long)
}
