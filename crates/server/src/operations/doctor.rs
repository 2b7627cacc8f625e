//! What is wrong with this server, and what to do about it: each check looks at one thing and says a sentence and, where it
//! is not well, the next step. Rules are functions of values; gathering the values is below them.

mod content;

use crate::Context;
use crate::authority::{Alarm, Ending};
use crate::reconcile::{Standing, chain};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use store::backup_log::{self, Backup, BackupOutcome};
use store::source::{self, Source, SourceState};
use store::{Scope, Whole, liveness, shape, tenant};
use utoipa::ToSchema;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A server without a backup for longer than this is warned of.
const BACKUP_AGE: SignedDuration = SignedDuration::from_hours(48);
/// A source that was not synced for longer than this makes its hosts unknown soon.
const SYNC_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Background work that did not end well for longer than this is stuck.
const WORK_AGE: SignedDuration = SignedDuration::from_hours(1);
/// Free bytes below which the disk is a matter, and below which it is an urgent one.
const DISK_LOW: u64 = 5 * 1024 * 1024 * 1024;
const DISK_FULL: u64 = 1024 * 1024 * 1024;
/// So many tenants and overdue hosts are looked at.
const MOST: u32 = 10_000;

/// How well one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wellness {
    /// Nothing to do.
    Ok,
    /// It will become a fault.
    Warning,
    /// Something does not work.
    Failed,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at; stable, for programs.
    pub name: &'static str,
    /// How well it is.
    pub state: Wellness,
    /// What was seen.
    pub sentence: String,
    /// What to do; empty where nothing is.
    pub next_step: String,
}

fn ok(name: &'static str, sentence: impl Into<String>) -> Check {
    Check {
        name,
        state: Wellness::Ok,
        sentence: sentence.into(),
        next_step: String::new(),
    }
}

fn not_ok(
    name: &'static str,
    state: Wellness,
    sentence: impl Into<String>,
    next_step: impl Into<String>,
) -> Check {
    Check {
        name,
        state,
        sentence: sentence.into(),
        next_step: next_step.into(),
    }
}

/// Looks at everything, the worst first. What a database that does not answer would have to say is left out.
pub async fn examine(ctx: &Context) -> Vec<Check> {
    let now = ctx.clock.now();
    let mut checks = vec![
        database(ctx).await,
        disk(free_bytes(ctx)),
        content::check(ctx).await,
    ];
    checks.extend(certificates(&ctx.authority.alarms(now), now));
    checks.extend(work(&ctx.board.all(), now));
    if let Ok(kept) = kept(ctx, now).await {
        checks.push(backup(&kept.backups, now));
        checks.extend(syncs(&kept.sources, now));
        checks.push(hosts(kept.overdue));
    }
    checks.sort_by_key(|check| std::cmp::Reverse(check.state));
    checks
}

/// What of the database some checks look at.
struct Kept {
    backups: Vec<Backup>,
    sources: Vec<Source>,
    overdue: usize,
}

async fn kept(ctx: &Context, now: Timestamp) -> Result<Kept, store::Error> {
    ctx.db
        .read(move |view| {
            let whole = Whole::server();
            let backups = backup_log::latest(view, &whole, 20)?;
            let sources = source::all_of_server(view, &whole)?;
            let mut overdue = 0;
            for tenant in tenant::page(view, &whole, None, MOST)?.rows {
                let scope = Scope::of_tenant(tenant.id);
                overdue += liveness::overdue(view, &scope, now - DAY, MOST)?.len();
            }
            Ok(Kept {
                backups,
                sources,
                overdue,
            })
        })
        .await
}

/// Whether the database answers, takes changes, and is sound.
async fn database(ctx: &Context) -> Check {
    let damage = ctx.db.read(shape::damage).await;
    // A change of nothing finds a file that is gone, locked or read-only.
    let takes_changes = ctx.db.write(|_tx| Ok::<_, store::Error>(())).await;
    match (damage, takes_changes) {
        (Ok(damage), Ok(())) if damage.is_empty() => {
            ok("database", "The database answers, takes changes, and is sound.")
        }
        (Ok(damage), Ok(())) => not_ok(
            "database",
            Wellness::Failed,
            format!("The database is damaged: {}.", damage[0]),
            "Stop the server, keep the damaged file, and restore the last backup with `patchyard restore`.",
        ),
        (Err(error), _) | (_, Err(error)) => not_ok(
            "database",
            Wellness::Failed,
            format!("The database cannot be used: {}.", chain(&error)),
            error.next_step(),
        ),
    }
}

/// Free bytes where the data directory is; `None` where the system does not say.
pub fn free_bytes(ctx: &Context) -> Option<u64> {
    let facts = rustix::fs::statvfs(&ctx.settings.data).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

fn disk(free: Option<u64>) -> Check {
    let said = |free: u64| format!("{} MiB are free where the data is.", free / (1024 * 1024));
    let next = "Make room: `patchyard storage show` says what takes it, `patchyard storage gc` frees what nothing refers to.";
    match free {
        None => not_ok(
            "disk",
            Wellness::Warning,
            "The free room cannot be told.",
            "Look with df(1).",
        ),
        Some(free) if free < DISK_FULL => not_ok("disk", Wellness::Failed, said(free), next),
        Some(free) if free < DISK_LOW => not_ok("disk", Wellness::Warning, said(free), next),
        Some(free) => ok("disk", said(free)),
    }
}

fn certificates(alarms: &[Alarm], now: Timestamp) -> Vec<Check> {
    if alarms.is_empty() {
        return vec![ok("certificates", "No certificate ends soon.")];
    }
    let check = |alarm: &Alarm| {
        let what = match alarm.what {
            Ending::Root => "The root authority",
            Ending::Issuing => "The issuing authority",
            Ending::Answers => "The key that signs answers to agents",
            Ending::Orders => "The key that signs orders",
            Ending::Listener => "The listener's certificate",
            Ending::Given => "The certificate that you gave the listener",
        };
        let days = alarm.until.duration_since(now).as_hours() / 24;
        let (state, when) = match alarm.is_over {
            true => (Wellness::Failed, format!("ended {} days ago", -days)),
            false => (Wellness::Warning, format!("ends in {days} days")),
        };
        let next = match alarm.what {
            Ending::Given => {
                "Renew it and put it where settings.toml says; the server takes it within six hours, or at its next start."
            }
            Ending::Listener | Ending::Issuing => {
                "It renews itself; if it does not within a day, restart the server and read its log."
            }
            Ending::Root => {
                "Prepare the next one with `patchyard authority prepare`: agents learn it ahead of time while they check in."
            }
            Ending::Answers | Ending::Orders => {
                "Put root.sealed back into the folder of keys and restart the server."
            }
        };
        not_ok("certificates", state, format!("{what} {when}."), next)
    };
    alarms.iter().map(check).collect()
}

fn backup(backups: &[Backup], now: Timestamp) -> Check {
    let next = "Make one with `patchyard backup create`, keep it on another machine, and do so every day.";
    let last = backups
        .iter()
        .find(|backup| backup.outcome == BackupOutcome::Complete);
    let Some(last) = last else {
        return not_ok("backup", Wellness::Warning, "There is no backup.", next);
    };
    let age = now.duration_since(last.started_at);
    let sentence = format!("The last backup is {} h old.", age.as_hours());
    match age > BACKUP_AGE {
        true => not_ok("backup", Wellness::Warning, sentence, next),
        false => ok("backup", sentence),
    }
}

fn work(standings: &BTreeMap<&'static str, Standing>, now: Timestamp) -> Vec<Check> {
    let check = |(name, standing): (&&'static str, &Standing)| {
        let since = standing
            .last_good
            .map_or(WORK_AGE + WORK_AGE, |good| now.duration_since(good));
        match &standing.last {
            Some(run) => match &run.outcome {
                Err(why) => not_ok(
                    "work",
                    if since > WORK_AGE {
                        Wellness::Failed
                    } else {
                        Wellness::Warning
                    },
                    format!("{name} failed {} times in a row: {why}.", standing.failures),
                    "It is tried again by itself; if the reason stays, the server's log says more.",
                ),
                Ok(did) => ok("work", format!("{name}: {did}.")),
            },
            None => ok("work", format!("{name} runs on another node.")),
        }
    };
    standings.iter().map(check).collect()
}

fn syncs(sources: &[Source], now: Timestamp) -> Vec<Check> {
    let adopted: Vec<&Source> = sources
        .iter()
        .filter(|source| source.state == SourceState::Adopted)
        .collect();
    let old: Vec<&&Source> = adopted
        .iter()
        .filter(|source| {
            source
                .last_success_at
                .is_none_or(|at| now.duration_since(at) > SYNC_AGE)
        })
        .collect();
    let proposed = sources
        .iter()
        .filter(|source| source.state == SourceState::Proposed)
        .count();
    let mut checks = match old.is_empty() {
        true => vec![ok(
            "sources",
            format!("{} sources were synced within a day.", adopted.len()),
        )],
        false => vec![not_ok(
            "sources",
            Wellness::Failed,
            format!(
                "{} of {} sources were not synced for a day, {} first.",
                old.len(),
                adopted.len(),
                old[0].name
            ),
            "`patchyard source list` says why; hosts that use them become unknown.",
        )],
    };
    if proposed > 0 {
        checks.push(not_ok(
            "sources",
            Wellness::Warning,
            format!(
                "{proposed} sources are used by hosts and adopted by nobody: their packages are unknown."
            ),
            "Look at them with `patchyard source list`, adopt those that you trust.",
        ));
    }
    checks
}

fn hosts(overdue: usize) -> Check {
    match overdue {
        0 => ok(
            "hosts",
            "Every host was heard of within a day of when it should have been.",
        ),
        _ => not_ok(
            "hosts",
            Wellness::Warning,
            format!("{overdue} hosts were not heard of for more than a day."),
            "`patchyard host list` shows when each was seen; on the host, `patchyard-agent status` says why. Retire those that are gone.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::BackupId;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time")
    }

    fn backup_of(age: SignedDuration, outcome: BackupOutcome) -> Backup {
        Backup {
            id: BackupId([0; 16]),
            started_at: now() - age,
            ended_at: None,
            reason: String::new(),
            place: String::new(),
            outcome,
            size_bytes: 0,
            manifest_digest: None,
        }
    }

    #[test]
    fn a_backup_counts_only_if_it_is_whole_and_young() {
        let state = |backups: &[Backup]| backup(backups, now()).state;
        assert_eq!(state(&[]), Wellness::Warning);
        assert_eq!(state(&[backup_of(DAY, BackupOutcome::Complete)]), Wellness::Ok);
        assert_eq!(
            state(&[backup_of(DAY * 3, BackupOutcome::Complete)]),
            Wellness::Warning
        );
        assert_eq!(state(&[backup_of(DAY, BackupOutcome::Failed)]), Wellness::Warning);
        assert_eq!(state(&[backup_of(DAY, BackupOutcome::Begun)]), Wellness::Warning);
    }

    #[test]
    fn what_is_not_well_has_a_next_step() {
        let alarm = |is_over| Alarm {
            what: Ending::Given,
            until: if is_over { now() - DAY } else { now() + DAY },
            is_over,
        };
        let failing = Standing {
            last: Some(crate::reconcile::Run {
                began: now(),
                took: SignedDuration::ZERO,
                outcome: Err("the disk is full".to_owned()),
            }),
            last_good: Some(now() - DAY),
            failures: 3,
            elsewhere: None,
        };
        let mut checks = vec![
            disk(None),
            disk(Some(0)),
            disk(Some(DISK_LOW)),
            backup(&[], now()),
            hosts(0),
            hosts(3),
        ];
        checks.extend(certificates(&[alarm(true), alarm(false)], now()));
        checks.extend(work(&BTreeMap::from([("assess", failing)]), now()));
        for check in &checks {
            assert_eq!(
                check.state == Wellness::Ok,
                check.next_step.is_empty(),
                "{check:?}"
            );
        }
        let failed = checks
            .iter()
            .filter(|check| check.state == Wellness::Failed)
            .count();
        assert_eq!(failed, 3, "{checks:?}");
    }
}
