//! What a session is told of the world at one moment: clocks, chance, and how the host looks.

use crate::executor::spool::Board;
use domain::identity::time::BootClock;
use jiff::Timestamp;
use protocol::message::check_in::{Bearer, CarriedFile, DocumentName, Measures, Mode};
use ring::digest::{Context, SHA256};
use std::time::Duration;

/// One moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The clock that counts since the boot.
    pub boot_clock: BootClock,
    /// The computer's own date: believed only until a server was heard.
    pub wall_clock: Timestamp,
    /// Chance for this moment, never used for another.
    pub chance: Chance,
}

/// 32 bytes of chance, from which any number of independent values are drawn, each by its name.
#[derive(Clone, Copy)]
pub struct Chance(pub [u8; 32]);

impl std::fmt::Debug for Chance {
    /// Keys are drawn from it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chance(..)")
    }
}

impl Chance {
    /// 32 bytes for this use.
    pub fn draw(&self, for_what: &str) -> [u8; 32] {
        let mut drawn = Context::new(&SHA256);
        drawn.update(b"patchyard chance\0");
        drawn.update(&self.0);
        drawn.update(for_what.as_bytes());
        drawn.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// 16 bytes for this use.
    pub(super) fn draw_16(&self, for_what: &str) -> [u8; 16] {
        let [a, b] = *self.draw(for_what).as_chunks::<16>().0 else {
            unreachable!("32 bytes are two times 16")
        };
        std::array::from_fn(|at| a[at] ^ b[at])
    }

    /// A time between this one and half as much more, evenly.
    pub fn later(&self, least: Duration) -> Duration {
        let [.., high, low] = self.draw("later");
        let part = u32::from(u16::from_be_bytes([high, low]));
        least + least / 2 * part / u32::from(u16::MAX)
    }
}

/// How the host looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Its own name.
    pub hostname: String,
    /// The agent's version.
    pub agent_version: String,
    /// First 16 bytes of SHA-256 over `patchyard machine id\0` and the machine-id.
    pub machine: Option<[u8; 16]>,
    /// First 16 bytes of SHA-256 over what tells its hardware from others'.
    pub hardware: Option<[u8; 16]>,
    /// The local ceiling.
    pub mode: Mode,
    /// The documents that describe it.
    pub documents: Vec<DocumentName>,
    /// What changes by itself.
    pub measures: Measures,
    /// What is wrong with reading it.
    pub troubles: Vec<String>,
    /// Index files of sources that the server asked to be carried.
    pub carried: Vec<CarriedFile>,
    /// What the executor tells of orders; of what it wants, what is not here yet.
    pub orders: Board,
}

impl Look {
    /// Where the host runs.
    pub(super) fn bearer(&self, clock: BootClock) -> Bearer {
        Bearer {
            boot: clock.boot.0,
            hardware: self.hardware,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_never_shorter_than_asked_for_and_at_most_half_longer() {
        let least = Duration::from_secs(100);
        let mut seen = Vec::new();
        for byte in 0..=255 {
            seen.push(Chance([byte; 32]).later(least));
        }
        assert!(
            seen.iter().all(|delay| (least..=least * 3 / 2).contains(delay)),
            "{seen:?}"
        );
        let spread = seen.iter().filter(|delay| **delay > least * 5 / 4).count();
        assert!((64..192).contains(&spread), "{spread} of 256 in the upper half");
    }

    #[test]
    fn values_drawn_for_different_uses_differ() {
        let chance = Chance([7; 32]);
        assert_ne!(chance.draw("a"), chance.draw("b"));
        assert_ne!(chance.draw("a"), Chance([8; 32]).draw("a"));
        assert_eq!(chance.draw("a"), chance.draw("a"));
    }
}
