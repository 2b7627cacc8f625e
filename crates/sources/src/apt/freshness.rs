//! Whether a release is in force at some moment: apt's rules (`debReleaseIndex::Load`, `pkgAcqMetaBase::VerifyVendor`),
//! with the settings of the source and of apt.conf(5).

use domain::catalog::release::ReleaseFacts;
use domain::host::channels::{Settings, Stanza};
use jiff::Timestamp;

/// How far a release may be dated in the future unless the source says otherwise (`Acquire::Max-FutureTime`), in
/// seconds.
pub const DEFAULT_MAX_FUTURE_SECONDS: i64 = 10;

/// What a host demands of a release's dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessRules {
    dates: Dates,
    max_future_seconds: i64,
    /// 0 is no limit.
    max_valid_seconds: i64,
    /// 0 is none.
    min_valid_seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dates {
    /// `Check-Date: no`: neither date counts.
    Ignored,
    /// `Check-Valid-Until: no`: only the release's own date counts.
    BeginningOnly,
    Both,
}

/// Whether a release is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is.
    Fresh {
        /// Its last moment, if it has one.
        until: Option<Timestamp>,
    },
    /// Not any more.
    Expired {
        /// Its last moment.
        since: Timestamp,
    },
    /// Not yet: the publisher's clock or this one is wrong.
    FromTheFuture {
        /// Its first moment.
        until: Timestamp,
    },
}

impl FreshnessRules {
    /// The rules for one source: its own options where it has them, apt.conf's otherwise. As with apt, a length of 0 in
    /// the source is none.
    pub fn new(stanza: &Stanza, settings: &Settings) -> Self {
        let dates = match (
            stanza.check_date.unwrap_or(settings.check_date),
            stanza.check_valid_until.unwrap_or(settings.check_valid_until),
        ) {
            (false, _) => Dates::Ignored,
            (true, false) => Dates::BeginningOnly,
            (true, true) => Dates::Both,
        };
        let own =
            |seconds: Option<i64>, otherwise| seconds.filter(|seconds| *seconds != 0).unwrap_or(otherwise);
        Self {
            dates,
            max_future_seconds: own(stanza.date_max_future_seconds, DEFAULT_MAX_FUTURE_SECONDS),
            max_valid_seconds: own(stanza.valid_until_max_seconds, settings.max_valid_seconds),
            min_valid_seconds: own(stanza.valid_until_min_seconds, settings.min_valid_seconds),
        }
    }

    /// The rules by which silence counts: a host may be told to accept lists past their date (`Check-Valid-Until`,
    /// `Check-Date`), but then they no longer say that nothing newer exists.
    pub fn of_silence(stanza: &Stanza, settings: &Settings) -> Self {
        Self {
            dates: Dates::Both,
            ..Self::new(stanza, settings)
        }
    }
}

/// Whether the release is in force at `now`.
pub fn freshness(facts: &ReleaseFacts, rules: &FreshnessRules, now: Timestamp) -> Freshness {
    let until = match rules.dates {
        Dates::Ignored => return Freshness::Fresh { until: None },
        Dates::BeginningOnly => None,
        Dates::Both => end(facts, rules),
    };
    if let Some(since) = until.filter(|until| *until < now) {
        return Freshness::Expired { since };
    }
    let beginning = facts
        .date
        .map(|date| later(date, rules.max_future_seconds.saturating_neg()));
    match beginning.filter(|beginning| now < *beginning) {
        Some(until) => Freshness::FromTheFuture { until },
        None => Freshness::Fresh { until },
    }
}

/// The last moment: `Valid-Until`, made later by the minimum and earlier by the maximum age.
fn end(facts: &ReleaseFacts, rules: &FreshnessRules) -> Option<Timestamp> {
    // Without a date, apt counts ages from 1970.
    let date = facts.date.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut end = facts.valid_until;
    if rules.min_valid_seconds != 0 {
        end = end.map(|end| end.max(later(date, rules.min_valid_seconds)));
    }
    if let (Some(date), true) = (facts.date, rules.max_valid_seconds != 0) {
        let latest = later(date, rules.max_valid_seconds);
        end = Some(end.map_or(latest, |end| end.min(latest)));
    }
    end
}

fn later(date: Timestamp, seconds: i64) -> Timestamp {
    let moved = date.as_second().saturating_add(seconds);
    let limit = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(moved).unwrap_or(limit)
}
