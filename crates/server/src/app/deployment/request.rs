//! What somebody asks to be deployed, where and how.

use crate::app::parse_id;
use crate::app::refusal::Refusal;
use crate::app::shape::{IdText, When, maybe_whole, whole};
use domain::change::Rules;
use domain::host::mode::Mode;
use domain::id::UpdateKey;
use domain::order::{RebootRule, Removal, Start};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Updates of one change at most.
const MOST_UPDATES: usize = 1_000;
/// Packages that may be removed by one change at most.
const MOST_REMOVALS: usize = 1_000;
/// The longest reason, in characters.
const LONGEST_REASON: usize = 1_000;
/// How long a change is good for where nobody says: to the end of a day, so many days ahead.
const USUAL_DAYS: i64 = 7;
/// The longest that a change is good for, in days.
const MOST_DAYS: i64 = domain::order::acceptance::LONGEST_DAYS;
/// The longest notice of a restart, in seconds: a day.
const LONGEST_NOTICE: u32 = 86_400;
const DAY_SECONDS: i64 = 86_400;

/// What is to be deployed, where and how.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The updates, by id.
    #[schema(min_items = 1, max_items = 1000)]
    pub updates: Vec<IdText>,
    /// The hosts.
    pub hosts: HostsWanted,
    /// What it needs of a host's mode; `install` where nothing is said.
    #[serde(default)]
    pub needs: Option<NeedsWord>,
    /// When hosts may be restarted; never where nothing is said.
    #[serde(default)]
    pub reboot: Option<Reboot>,
    /// Whether each host needs the server's go to begin; it does where nothing is said.
    #[serde(default)]
    pub start: Option<StartWord>,
    /// Nothing begins before; now where nothing is said.
    #[serde(default)]
    pub opens: Option<When>,
    /// Nothing begins at this moment or later; the end of the seventh day from today (UTC) where nothing is said.
    #[serde(default)]
    pub closes: Option<When>,
    /// Packages that may be removed.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub removals: Vec<RemovalWanted>,
    /// Hosts at once; all where nothing is said.
    #[serde(default, deserialize_with = "maybe_whole")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub at_once: Option<u32>,
    /// Why, for whoever reads it later: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: String,
    /// To make the change: the approval that the preview named, so that nothing else is approved than what was seen.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub approval: Option<String>,
}

/// Which hosts: exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostsWanted {
    /// By id.
    #[serde(default)]
    pub ids: Option<Vec<IdText>>,
    /// By name.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// All that are let in.
    #[serde(default)]
    pub all: Option<bool>,
}

/// What a change needs of a host's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedsWord {
    /// To install packages.
    Install,
    /// To restart services and the host too.
    Full,
}

/// Whether a host needs a go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartWord {
    /// It does.
    WithGo,
    /// It may begin out of the server's reach.
    OfflineOk,
}

/// When hosts may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "rule", deny_unknown_fields)]
pub enum Reboot {
    /// Never.
    Never {},
    /// Once, if the packages need it.
    IfNeeded {
        /// Notice to whoever is logged in, in seconds.
        #[serde(deserialize_with = "whole")]
        #[schema(value_type = u32)]
        notice_seconds: u32,
    },
}

impl From<Mode> for NeedsWord {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Full => Self::Full,
            Mode::Monitor | Mode::Download | Mode::Install => Self::Install,
        }
    }
}

impl From<Start> for StartWord {
    fn from(start: Start) -> Self {
        match start {
            Start::WithGo => Self::WithGo,
            Start::OfflineOk => Self::OfflineOk,
        }
    }
}

impl From<RebootRule> for Reboot {
    fn from(rule: RebootRule) -> Self {
        match rule {
            RebootRule::Never => Self::Never {},
            RebootRule::IfNeeded { notice_seconds } => Self::IfNeeded { notice_seconds },
        }
    }
}

/// A package that may be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovalWanted {
    /// Binary package name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
}

/// A request, understood.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) updates: Vec<UpdateKey>,
    pub(super) hosts: HostsWanted,
    pub(super) rules: Rules,
    pub(super) opens: Timestamp,
    pub(super) closes: Timestamp,
    pub(super) at_once: Option<u32>,
    pub(super) reason: String,
}

impl DeployRequest {
    /// Understands it; what is missing has its usual value.
    pub(super) fn check(&self, now: Timestamp) -> Result<Wanted, Refusal> {
        let updates = &self.updates;
        if updates.is_empty() || updates.len() > MOST_UPDATES {
            return Err(Refusal::invalid(
                "/updates",
                format!("a change has 1 to {MOST_UPDATES} updates"),
            ));
        }
        let updates: Result<Vec<UpdateKey>, _> = updates.iter().map(|id| parse_id("/updates", id)).collect();
        let opens = self.opens.map_or(now, |opens| opens.0);
        let closes = self.closes.map_or_else(|| usual_end(now), |closes| closes.0);
        if closes <= opens || closes <= now {
            return Err(Refusal::invalid(
                "/closes",
                "it closes before it opens, or before now",
            ));
        }
        if closes.duration_since(now) > SignedDuration::from_hours(24 * MOST_DAYS) {
            let why = format!("a change is good for {MOST_DAYS} days at most");
            return Err(Refusal::invalid("/closes", why));
        }
        if self.at_once == Some(0) {
            return Err(Refusal::invalid("/at_once", "at least one host at once"));
        }
        if self.reason.chars().count() > LONGEST_REASON {
            let why = format!("a reason has up to {LONGEST_REASON} characters");
            return Err(Refusal::invalid("/reason", why));
        }
        Ok(Wanted {
            updates: updates?,
            hosts: self.hosts.clone(),
            rules: self.rules()?,
            opens,
            closes,
            at_once: self.at_once,
            reason: self.reason.clone(),
        })
    }

    fn rules(&self) -> Result<Rules, Refusal> {
        let needs = match self.needs.unwrap_or(NeedsWord::Install) {
            NeedsWord::Install => Mode::Install,
            NeedsWord::Full => Mode::Full,
        };
        let reboot = match self.reboot.unwrap_or(Reboot::Never {}) {
            Reboot::Never {} => RebootRule::Never,
            Reboot::IfNeeded { notice_seconds } if notice_seconds <= LONGEST_NOTICE => {
                RebootRule::IfNeeded { notice_seconds }
            }
            Reboot::IfNeeded { .. } => {
                let why = format!("the notice is {LONGEST_NOTICE} seconds at most");
                return Err(Refusal::invalid("/reboot", why));
            }
        };
        if reboot != RebootRule::Never && needs != Mode::Full {
            return Err(Refusal::invalid("/reboot", "restarting hosts needs `full`"));
        }
        if self.removals.len() > MOST_REMOVALS {
            let why = format!("at most {MOST_REMOVALS} packages are removed");
            return Err(Refusal::invalid("/removals", why));
        }
        let removal = |wanted: &RemovalWanted| Removal {
            name: wanted.name.as_str().into(),
            architecture: wanted.architecture.as_str().into(),
        };
        let mut removals: Vec<Removal> = self.removals.iter().map(removal).collect();
        removals.sort_by(|one, next| (&one.name, &one.architecture).cmp(&(&next.name, &next.architecture)));
        removals.dedup();
        Ok(Rules {
            needs,
            start: match self.start.unwrap_or(StartWord::WithGo) {
                StartWord::WithGo => Start::WithGo,
                StartWord::OfflineOk => Start::OfflineOk,
            },
            reboot,
            removals,
        })
    }
}

/// The end of a day some days ahead: a preview of the same day names the same approval.
pub(super) fn usual_end(now: Timestamp) -> Timestamp {
    let day = now.as_second().div_euclid(DAY_SECONDS) + 1 + USUAL_DAYS;
    Timestamp::from_second(day * DAY_SECONDS).unwrap_or(Timestamp::MAX)
}
