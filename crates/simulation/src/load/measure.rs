//! Time as it really passes, and how it was spread.

use anyhow::Result;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// This moment.
#[expect(clippy::disallowed_methods, reason = "load is measured in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// How long things took.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Adds those of another.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many of a hundred did not pass, in milliseconds; 0 if there are none.
    pub fn percentile(&self, part: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * part).div_ceil(100).saturating_sub(1);
        sorted
            .get(place)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }

    /// Those of all tasks.
    pub async fn of_all(tasks: &mut JoinSet<Result<Self>>) -> Result<Self> {
        let mut all = Self::default();
        while let Some(ended) = tasks.join_next().await {
            all.join(ended??);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_nine_of_a_hundred_do_not_pass_the_percentile() {
        let mut latencies = Latencies::default();
        (1..=100)
            .rev()
            .for_each(|millis| latencies.add(Duration::from_millis(millis)));
        assert_eq!(latencies.percentile(99), 99.0);
        assert_eq!(latencies.percentile(50), 50.0);
        assert_eq!(Latencies::default().percentile(99), 0.0);
    }
}
