//! Chance from a seed: the same hosts in every run, and a number to name one by.

use std::ops::Range;

/// SplitMix64 (Steele, Lea and Flood 2014), for its size.
pub struct Chance(u64);

impl Chance {
    /// The same seed, the same draws.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range.
    pub fn number(&mut self, range: Range<u64>) -> u64 {
        range.start + self.draw() % (range.end - range.start)
    }

    /// True in so many of a hundred cases.
    pub fn happens(&mut self, percent: u64) -> bool {
        self.number(0..100) < percent
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.number(0..choices.len() as u64) as usize]
    }

    /// A machine-id(5).
    pub fn machine_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.draw(), self.draw())
    }
}
