//! When to try again: other addresses at once, then after growing delays, never all hosts at the same moment.

use super::{Effect, Failure, Moment, Session};
use std::time::Duration;

/// The first delay after a failure of all addresses.
const FIRST: Duration = Duration::from_secs(5);
/// The longest delay that the agent chooses by itself.
const LONGEST: Duration = Duration::from_secs(900);
/// Between the answer to a check-in that may be held and the next one.
const BETWEEN_HELD: Duration = Duration::from_secs(4);
/// How often a server may want to be asked, in seconds.
const CHECK_IN_SECONDS: std::ops::RangeInclusive<u32> = 10..=86_400;
/// How often, if it did not say, in seconds.
const USUAL_CHECK_IN_SECONDS: u32 = 300;

/// How often to check in, in seconds: what the server said, within reason.
pub(super) fn check_in_seconds(said: u32) -> u32 {
    match said {
        0 => USUAL_CHECK_IN_SECONDS,
        said => said.clamp(*CHECK_IN_SECONDS.start(), *CHECK_IN_SECONDS.end()),
    }
}

/// Until the next round: four to six fifths of what the server said, so that hosts that started together spread out; or at
/// once, if the server holds the next check-in until there is something to say.
pub(super) fn round_delay(said_seconds: u32, hold_seconds: u32, moment: &Moment) -> Duration {
    if hold_seconds > 0 {
        return moment.chance.later(BETWEEN_HELD);
    }
    let usual = Duration::from_secs(u64::from(check_in_seconds(said_seconds)));
    moment.chance.later(usual * 4 / 5)
}

/// After `failures` in a row, at least one: 5 s, 10 s, 20 s ... up to how often the host checks in, and half as much more by chance.
pub(super) fn backoff(failures: u32, said_seconds: u32, moment: &Moment) -> Duration {
    let usual = Duration::from_secs(u64::from(check_in_seconds(said_seconds))).min(LONGEST);
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    moment.chance.later(doubled.min(usual))
}

impl Session {
    /// No answer: the next address, or a pause.
    pub(super) fn failed(&mut self, failure: Failure, moment: &Moment, effects: &mut Vec<Effect>) {
        let Some(mut request) = self.now.request.take() else {
            return;
        };
        if let Some(to) = request.left.pop() {
            request.to = to.clone();
            effects.push(Effect::Send {
                to,
                envelope: request.envelope.clone(),
                hold_seconds: request.hold_seconds,
            });
            self.now.request = Some(request);
            return;
        }
        if self.now.trouble.as_ref() != Some(&failure.trouble) {
            effects.push(Effect::Say(failure.trouble.to_string()));
        }
        self.now.trouble = Some(failure.trouble);
        // The next check-in after an outage is answered at once.
        self.now.hold_seconds = 0;
        self.pause(failure.retry_after_seconds, moment, effects);
    }

    /// Sleeps for as long as the server asked, or longer each time.
    pub(super) fn pause(
        &mut self,
        retry_after_seconds: Option<u32>,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.now.failures = self.now.failures.saturating_add(1);
        let delay = match retry_after_seconds {
            // A server that always wants to be asked at once is asked less often all the same.
            Some(0) | None => backoff(self.now.failures, self.memory.check_in_seconds, moment),
            Some(seconds) => {
                let seconds = seconds.min(*CHECK_IN_SECONDS.end());
                moment.chance.later(Duration::from_secs(u64::from(seconds)))
            }
        };
        self.sleep(delay, moment, effects);
    }
}
