//! Time and chance as ports: the real ones for a running server, and ones that a test or the seeded simulation leads.

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use tokio::sync::watch;

/// A wait that has been handed out by a [`Clock`].
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What time it is, and waiting.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time of day, as this machine has it. It may step either way.
    fn now(&self) -> Timestamp;

    /// Ends when this much time has passed.
    fn wait(&self, span: SignedDuration) -> Wait;
}

/// This machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the server reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn wait(&self, span: SignedDuration) -> Wait {
        let span = std::time::Duration::try_from(span).unwrap_or_default();
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock that moves only when it is told to. Those who wait on it are woken when it has moved far enough; setting it
/// back does not make them wait longer.
#[derive(Debug)]
pub struct ManualClock {
    time: Mutex<Timestamp>,
    elapsed: watch::Sender<SignedDuration>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        Self {
            time: Mutex::new(start),
            elapsed: watch::Sender::new(SignedDuration::ZERO),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, span: SignedDuration) {
        {
            let mut time = self.time.lock().expect("nobody panics while holding it");
            *time = time.checked_add(span).expect("a test stays within the calendar");
        }
        self.elapsed.send_modify(|elapsed| *elapsed += span);
    }

    /// Steps the time of day, as an administrator or a flat battery does: no time passes.
    pub fn step_to(&self, time: Timestamp) {
        *self.time.lock().expect("nobody panics while holding it") = time;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.time.lock().expect("nobody panics while holding it")
    }

    fn wait(&self, span: SignedDuration) -> Wait {
        let mut elapsed = self.elapsed.subscribe();
        let until = *elapsed.borrow() + span;
        Box::pin(async move {
            // The sender lives in the clock; once that is gone nobody will move it, and waiting has no end to wait for.
            let _gone = elapsed.wait_for(|elapsed| *elapsed >= until).await;
        })
    }
}

/// Where chance comes from: ids, nonces, jitter. Keys are made by the authority from the operating system alone.
pub trait Chance: Send + Sync + std::fmt::Debug {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// An array of chance.
pub fn draw<const LENGTH: usize>(chance: &dyn Chance) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    chance.fill(&mut bytes);
    bytes
}

/// A number below `bound`, for jitter: even enough for bounds far below 2^64. 0 for a bound of 0.
pub fn draw_below(chance: &dyn Chance, bound: u64) -> u64 {
    u64::from_be_bytes(draw(chance)).checked_rem(bound).unwrap_or(0)
}

/// The operating system's chance.
#[derive(Clone, Debug)]
pub struct SystemChance(SystemRandom);

impl Default for SystemChance {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .fill(bytes)
            .expect("getrandom(2) does not fail once the kernel has started");
    }
}

/// Chance from a seed, for runs that must come out the same again: SHA-256 of seed and counter.
#[derive(Debug)]
pub struct SeededChance {
    seed: u64,
    count: Mutex<u64>,
}

impl SeededChance {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            count: Mutex::new(0),
        }
    }
}

impl Chance for SeededChance {
    fn fill(&self, bytes: &mut [u8]) {
        let mut count = self.count.lock().expect("nobody panics while holding it");
        for part in bytes.chunks_mut(32) {
            let block = [self.seed.to_be_bytes(), count.to_be_bytes()].concat();
            let digest = ring::digest::digest(&ring::digest::SHA256, &block);
            part.copy_from_slice(&digest.as_ref()[..part.len()]);
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_on_a_manual_clock_is_woken_by_time_that_passes_and_not_by_a_step() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without drivers needs nothing");
        runtime.block_on(async {
            let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
            let waiting = tokio::spawn(clock.wait(SignedDuration::from_secs(10)));
            clock.step_to(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1));
            clock.advance(SignedDuration::from_secs(9));
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            clock.advance(SignedDuration::from_secs(1));
            waiting.await.expect("it ends");
            assert_eq!(
                clock.now(),
                Timestamp::UNIX_EPOCH + SignedDuration::from_secs(3610)
            );
        });
    }

    #[test]
    fn a_seed_gives_its_sequence_again_and_no_other_seeds() {
        let first = SeededChance::new(7);
        let drawn: [[u8; 40]; 2] = [draw(&first), draw(&first)];
        let again = SeededChance::new(7);
        assert_eq!(drawn, [draw(&again), draw(&again)]);
        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(drawn[0], draw(&SeededChance::new(8)));
    }
}
