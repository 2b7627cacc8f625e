//! What is seen, shown and waited for, in the words of the database, the API and people.

use domain::host::mode::Mode;
use domain::id::ChangeId;
use domain::rollout::deployment::{Deployment, Failure, Intent, Observation, Shown};
use domain::rollout::waiting::Waiting;
use jiff::Timestamp;
use store::deployment::Intent as StoredIntent;
use store::host::HostMode;
use store::order::{FailureReason, Order, OrderStage};

/// A host's mode as the rules have it.
pub fn mode(mode: HostMode) -> Mode {
    match mode {
        HostMode::Monitor => Mode::Monitor,
        HostMode::Download => Mode::Download,
        HostMode::Install => Mode::Install,
        HostMode::Full => Mode::Full,
    }
}

/// What is seen of a deployment's order in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it is.
    pub stage: OrderStage,
    /// Why it failed.
    pub failure: Option<FailureReason>,
    /// Until when the host may begin.
    pub may_begin_until: Option<Timestamp>,
    /// Since when it is taken back.
    pub withdrawn_at: Option<Timestamp>,
}

impl From<&Order> for Seen {
    fn from(order: &Order) -> Self {
        Self {
            stage: order.report.stage,
            failure: order.report.failure,
            may_begin_until: order.may_begin_until,
            withdrawn_at: order.withdrawn_at,
        }
    }
}

/// A deployment as the rules have it. An order that was taken back and did not begin is none, except that the host may have
/// been permitted to begin it.
pub fn deployment(intent: StoredIntent, seen: Option<Seen>) -> Deployment {
    let intent = match intent {
        StoredIntent::Planned => Intent::Planned,
        StoredIntent::Ordered => Intent::Ordered,
        StoredIntent::Cancelled => Intent::Cancelled,
    };
    let Some(seen) = seen else {
        return Deployment {
            intent,
            ..Deployment::default()
        };
    };
    let has_let_go = seen.stage == OrderStage::Withdrawn;
    let has_not_begun = matches!(
        seen.stage,
        OrderStage::None | OrderStage::Taken | OrderStage::Prepared
    );
    let is_taken_back = has_let_go || (seen.withdrawn_at.is_some() && has_not_begun);
    Deployment {
        intent: match (is_taken_back, intent) {
            (true, Intent::Ordered) => Intent::Planned,
            _ => intent,
        },
        observation: match is_taken_back {
            true => Observation::None,
            false => observation(seen.stage, seen.failure),
        },
        may_begin_until: seen.may_begin_until.filter(|_| !has_let_go),
    }
}

fn observation(stage: OrderStage, failure: Option<FailureReason>) -> Observation {
    match stage {
        OrderStage::None | OrderStage::Withdrawn => Observation::None,
        OrderStage::Taken => Observation::Taken,
        OrderStage::Prepared => Observation::Prepared,
        OrderStage::Installing => Observation::Installing,
        OrderStage::RebootPending => Observation::RebootPending,
        OrderStage::Verifying => Observation::Verifying,
        OrderStage::Succeeded => Observation::Succeeded,
        OrderStage::NotInEffect => Observation::NotInEffect,
        OrderStage::Failed => Observation::Failed(failure.map_or(Failure::PackageManager, reason)),
    }
}

/// The stage of an observation, and why it failed.
pub fn stage(observation: Observation) -> (OrderStage, Option<FailureReason>) {
    let stage = match observation {
        Observation::None => OrderStage::None,
        Observation::Taken => OrderStage::Taken,
        Observation::Prepared => OrderStage::Prepared,
        Observation::Installing => OrderStage::Installing,
        Observation::RebootPending => OrderStage::RebootPending,
        Observation::Verifying => OrderStage::Verifying,
        Observation::Succeeded => OrderStage::Succeeded,
        Observation::NotInEffect => OrderStage::NotInEffect,
        Observation::Failed(failure) => return (OrderStage::Failed, Some(stored(failure))),
    };
    (stage, None)
}

/// Why an order failed, as the rules have it.
pub fn reason(reason: FailureReason) -> Failure {
    match reason {
        FailureReason::Refused => Failure::Refused,
        FailureReason::Content => Failure::Content,
        FailureReason::Snapshot => Failure::Snapshot,
        FailureReason::HostChanged => Failure::HostChanged,
        FailureReason::Differs => Failure::Differs,
        FailureReason::Busy => Failure::Busy,
        FailureReason::DiskFull => Failure::DiskFull,
        FailureReason::Script => Failure::Script,
        FailureReason::PackageManager => Failure::PackageManager,
        FailureReason::Interrupted => Failure::Interrupted,
        FailureReason::Expired => Failure::Expired,
        FailureReason::NotSeen => Failure::NotSeen,
    }
}

fn stored(failure: Failure) -> FailureReason {
    match failure {
        Failure::Refused => FailureReason::Refused,
        Failure::Content => FailureReason::Content,
        Failure::Snapshot => FailureReason::Snapshot,
        Failure::HostChanged => FailureReason::HostChanged,
        Failure::Differs => FailureReason::Differs,
        Failure::Busy => FailureReason::Busy,
        Failure::DiskFull => FailureReason::DiskFull,
        Failure::Script => FailureReason::Script,
        Failure::PackageManager => FailureReason::PackageManager,
        Failure::Interrupted => FailureReason::Interrupted,
        Failure::Expired => FailureReason::Expired,
        Failure::NotSeen => FailureReason::NotSeen,
    }
}

/// The word for what people are shown of a deployment.
pub fn shown(shown: Shown) -> &'static str {
    match shown {
        Shown::Planned => "planned",
        Shown::Ordered => "ordered",
        Shown::Underway(observation) => stage(observation).0.as_str(),
        Shown::Cancelled => "cancelled",
        Shown::CancelledUnderway(_) => "cancelled_underway",
        Shown::Succeeded => "succeeded",
        Shown::NotInEffect => "not_in_effect",
        Shown::Failed(_) => "failed",
    }
}

/// Why a host waits: a word, and a sentence. Changes are in the order of the world that was planned.
pub fn waiting(why: Waiting, changes: &[ChangeId]) -> (&'static str, String) {
    match why {
        Waiting::Stopped => ("stopped", "a person stopped the change".to_owned()),
        Waiting::NotOpen { opens } => ("not_open", format!("the change opens at {opens}")),
        Waiting::Over { closed } => (
            "over",
            format!("the change's time was over at {closed}; approve it again with a later end"),
        ),
        Waiting::NotActive => (
            "not_active",
            "the host is not let in, is retired, or its identity is in doubt".to_owned(),
        ),
        Waiting::Offline { last_seen } => (
            "offline",
            match last_seen {
                Some(seen) => format!("nothing was heard of the host since {seen}"),
                None => "nothing was ever heard of the host".to_owned(),
            },
        ),
        Waiting::BelowCeiling { mode, needs } => ("below_ceiling", below_ceiling(mode, needs)),
        Waiting::NotStaged => (
            "not_staged",
            "its packages are being fetched, verified and scanned".to_owned(),
        ),
        Waiting::Unknown => (
            "unknown",
            "what the host has is not known well enough: no verified source answers for it".to_owned(),
        ),
        Waiting::NeedsAlso => (
            "needs_also",
            "a package needs another update, which was not approved".to_owned(),
        ),
        Waiting::NotBuilt => (
            "not_built",
            "the update is not to be had for this host".to_owned(),
        ),
        Waiting::AnotherChange { change } => {
            let other = usize::try_from(change.0).ok().and_then(|at| changes.get(at));
            (
                "another_change",
                match other {
                    Some(other) => format!("another change is at work on the host: {other}"),
                    None => "another change is at work on the host".to_owned(),
                },
            )
        }
        Waiting::Paced => (
            "paced",
            "as many hosts as are allowed at once are at work".to_owned(),
        ),
        Waiting::Underway => (
            "underway",
            "the host is at it, or will be when it hears".to_owned(),
        ),
        Waiting::Failed(failure) => ("failed", failure.to_string()),
    }
}

/// What a host's ceiling stands in the way of, and the command that lifts it.
pub fn below_ceiling(mode: Mode, needs: Mode) -> String {
    format!(
        "the host is in mode {mode} and the change needs {needs}; on the host, `sudo patchyard-agent mode {needs}` raises it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_and_reason_is_read_back_as_it_was_seen() {
        for failure in FailureReason::ALL {
            let seen = observation(OrderStage::Failed, Some(*failure));
            assert_eq!(stage(seen), (OrderStage::Failed, Some(*failure)));
        }
        for one in OrderStage::ALL {
            if !matches!(one, OrderStage::Failed | OrderStage::Withdrawn) {
                assert_eq!(stage(observation(*one, None)), (*one, None));
            }
        }
    }
}
