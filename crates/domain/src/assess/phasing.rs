//! Updates that reach a part of the hosts first (Ubuntu's `Phased-Update-Percentage`): whether this host is in, bit for
//! bit as apt draws it from its machine-id. The draw is that of the C++ standard library in libstdc++: `seed_seq`
//! and `minstd_rand` as the standard has them ([rand.util.seedseq], [rand.predef]), `uniform_int_distribution` as
//! libstdc++ computes it.

use crate::host::channels::PhasedChoice;

/// Largest number that is drawn; a host is in if its number is at most the percentage.
pub const LARGEST_DRAW: u8 = 100;

/// Modulus of `minstd_rand`.
const MODULUS: u64 = 2_147_483_647;

/// Multiplier of `minstd_rand`.
const MULTIPLIER: u64 = 48_271;

/// Whether the host runs inside a chroot as ischroot(1) sees it, or a reproducible build
/// (`SOURCE_DATE_EPOCH` is set): such a host takes every phased update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InChroot {
    /// It does.
    Yes,
    /// It is a system of its own.
    #[default]
    No,
}

/// What of the machine decides about phasing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// machine-id(5) without its line end, or `APT::Machine-ID`. Absent or empty: every phased update is taken.
    pub machine_id: Option<String>,
    /// Whether it is a chroot.
    pub in_chroot: InChroot,
}

/// Whether a phased update has reached a host, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is for everyone: 100 percent.
    Complete,
    /// The host takes phased updates at once.
    AlwaysChosen,
    /// The host takes none before they reach everyone.
    NeverChosen,
    /// No machine-id, or a chroot: apt takes them all.
    NoDraw,
    /// The host's number is at most the percentage.
    Included {
        /// Its number, 0 to 100.
        draw: u8,
    },
    /// The host's number is above the percentage.
    Excluded {
        /// Its number, 0 to 100.
        draw: u8,
    },
}

impl Decision {
    /// Whether the host is to wait.
    pub fn is_excluded(self) -> bool {
        matches!(self, Self::NeverChosen | Self::Excluded { .. })
    }
}

impl Machine {
    /// Whether the update (`source`, `source_version`) at `percent` has reached this host. Settings come before the
    /// draw, in apt's order.
    pub fn decide(&self, choice: PhasedChoice, percent: u8, source: &str, source_version: &str) -> Decision {
        if percent >= LARGEST_DRAW {
            return Decision::Complete;
        }
        match choice {
            PhasedChoice::Always => return Decision::AlwaysChosen,
            PhasedChoice::Never => return Decision::NeverChosen,
            PhasedChoice::ByMachineId => {}
        }
        let machine_id = match self.machine_id.as_deref() {
            Some(machine_id) if !machine_id.is_empty() && self.in_chroot == InChroot::No => machine_id,
            _ => return Decision::NoDraw,
        };
        let draw = draw(source, source_version, machine_id);
        if draw > percent {
            Decision::Excluded { draw }
        } else {
            Decision::Included { draw }
        }
    }
}

/// The host's number for an update, 0 to 100.
pub fn draw(source: &str, source_version: &str, machine_id: &str) -> u8 {
    let text = format!("{source}-{source_version}-{machine_id}");
    // `char` is signed where Ubuntu runs apt on x86; names, versions and machine-ids are ASCII everywhere.
    let seeds: Vec<u32> = text.bytes().map(|byte| i32::from(byte as i8) as u32).collect();
    let mut engine = Minstd::seeded(&seeds);
    uniform(&mut engine, LARGEST_DRAW)
}

struct Minstd {
    state: u64,
}

impl Minstd {
    /// Seeded from a sequence: the fourth of four words, as the modulus needs one word and three are skipped.
    fn seeded(seeds: &[u32]) -> Self {
        let state = u64::from(seed_words(seeds)[3]) % MODULUS;
        Self {
            state: if state == 0 { 1 } else { state },
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state * MULTIPLIER % MODULUS;
        self.state
    }
}

/// `uniform_int_distribution(0, largest)` of libstdc++ over an engine whose range is no power of two: equal shares, what
/// is left over is drawn again.
fn uniform(engine: &mut Minstd, largest: u8) -> u8 {
    let choices = u64::from(largest) + 1;
    let engine_range = MODULUS - 2;
    let share = engine_range / choices;
    loop {
        let number = (engine.next() - 1) / share;
        if let Ok(number) = u8::try_from(number)
            && number <= largest
        {
            return number;
        }
    }
}

/// `seed_seq::generate` for four words.
fn seed_words(seeds: &[u32]) -> [u32; 4] {
    let mut words = [0x8b8b_8b8b_u32; 4];
    let rounds = (seeds.len() + 1).max(4);
    let mix = |word: u32| word ^ (word >> 27);
    for round in 0..rounds {
        let (here, next, after, last) = (round % 4, (round + 1) % 4, (round + 2) % 4, (round + 3) % 4);
        let first = mix(words[here] ^ words[next] ^ words[last]).wrapping_mul(1_664_525);
        let added = match round {
            0 => seeds.len() as u32,
            _ => (here as u32).wrapping_add(seeds.get(round - 1).copied().unwrap_or(0)),
        };
        let second = first.wrapping_add(added);
        words[next] = words[next].wrapping_add(first);
        words[after] = words[after].wrapping_add(second);
        words[here] = second;
    }
    for round in rounds..rounds + 4 {
        let (here, next, after, last) = (round % 4, (round + 1) % 4, (round + 2) % 4, (round + 3) % 4);
        let sum = words[here].wrapping_add(words[next]).wrapping_add(words[last]);
        let first = mix(sum).wrapping_mul(1_566_083_941);
        let second = first.wrapping_sub(here as u32);
        words[next] ^= first;
        words[after] ^= second;
        words[here] = second;
    }
    words
}
