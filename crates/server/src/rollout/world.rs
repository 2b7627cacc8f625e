//! What a tenant's plan depends on, read from rows of one moment.

use super::words::{self, Seen};
use super::{NAMED, RolloutError, silence};
use crate::catalog::resolve;
use crate::context::Context;
use domain::assess::fleet::HostNo;
use domain::change::Approval;
use domain::digest::Sha256Digest;
use domain::id::ChangeId;
use domain::order::Direction;
use domain::rollout::plan::{Change, Host, Member, Need, Staging, Standing, State, TransactionNo, World};
use jiff::SignedDuration;
use protocol::order::ApprovalDocument;
use std::collections::HashMap;
use store::deployment::{self, NeedKind, PlannedHost};
use store::host::HostState;
use store::order::OrderStage;
use store::rollout_change::{self, ChangeStaging, ChangeState, RolloutChange};
use store::{Scope, View};

/// A tenant's world, with the rows that its numbers stand for.
#[derive(Clone, Debug)]
pub struct Known {
    /// What is planned.
    pub world: World,
    /// By their number.
    pub changes: Vec<KnownChange>,
    /// By their number.
    pub transactions: Vec<Sha256Digest>,
    /// By their number.
    pub hosts: Vec<PlannedHost>,
}

/// A change of the world.
#[derive(Clone, Debug)]
pub struct KnownChange {
    /// Its row.
    pub row: RolloutChange,
    /// What was approved.
    pub approval: Approval,
    /// In the order of the world's members.
    pub members: Vec<deployment::Member>,
    /// Which of its updates their sources took back, in words: nothing more of it is begun.
    pub retracted: Option<String>,
}

impl Known {
    /// The changes' ids, by their number.
    pub fn change_ids(&self) -> Vec<ChangeId> {
        self.changes.iter().map(|change| change.row.id).collect()
    }
}

/// Reads what an approval's bytes say.
///
/// # Errors
/// [`RolloutError::Approval`].
pub fn approval_of(row: &RolloutChange) -> Result<Approval, RolloutError> {
    let approved = ApprovalDocument::parse(&row.approval).map_err(RolloutError::Approval)?;
    Ok(approved.approval)
}

/// Reads the world of a tenant: its changes that are approved, as enough approvers as they need have signed them, and not
/// finished; and its hosts.
///
/// # Errors
/// Of the database, or of a kept approval.
fn read(view: &mut View, scope: &Scope, silence: SignedDuration) -> Result<Known, RolloutError> {
    let generation = rollout_change::generation(view, scope)?;
    let mut numbers = Transactions::default();
    let (mut rows, mut changes) = (Vec::new(), Vec::new());
    for row in rollout_change::unfinished(view, scope)? {
        if row.needed > 0 {
            let signatures = rollout_change::signatures(view, scope, row.id)?;
            if signatures.len() < usize::try_from(row.needed).unwrap_or(usize::MAX) {
                continue;
            }
        }
        let approval = approval_of(&row)?;
        let members = deployment::members(view, scope, row.id)?;
        changes.push(Change {
            state: match row.state {
                ChangeState::Running => State::Running,
                ChangeState::Stopped => State::Stopped,
            },
            opens: row.opens,
            closes: row.closes,
            needs: approval.release.rules.needs,
            at_once: row.at_once,
            staging: match row.staging {
                ChangeStaging::NotAsked => Staging::NotAsked,
                ChangeStaging::Asked => Staging::Asked,
                ChangeStaging::Done => Staging::Done,
            },
            members: members.iter().map(|row| member(row, &mut numbers)).collect(),
        });
        rows.push(KnownChange {
            row,
            approval,
            members,
            retracted: None,
        });
    }
    let hosts = match changes.is_empty() {
        true => Vec::new(),
        false => deployment::hosts(view, scope)?,
    };
    Ok(Known {
        world: World {
            generation,
            changes,
            hosts: by_number(&hosts),
            silence,
        },
        changes: rows,
        transactions: numbers.digests,
        hosts,
    })
}

/// The world of a tenant, in which what sources took back is not to be had any more.
///
/// # Errors
/// As [`read`].
pub async fn known(context: &Context, scope: Scope) -> Result<Known, RolloutError> {
    let silence = silence(context);
    let mut known = context
        .db
        .attempt_read(move |view| read(view, &scope, silence))
        .await?;
    for (change, row) in known.world.changes.iter_mut().zip(&mut known.changes) {
        row.retracted = retracted(context, scope, &row.approval).await?;
        if row.retracted.is_none() {
            continue;
        }
        for member in &mut change.members {
            if matches!(member.need, Need::Packages(_)) {
                member.need = Need::NotBuilt;
            }
        }
    }
    Ok(known)
}

/// Which updates of an approval their sources took back, in words. What goes back was taken back by then.
///
/// # Errors
/// Of the database.
pub async fn retracted(
    context: &Context,
    scope: Scope,
    approval: &Approval,
) -> Result<Option<String>, store::Error> {
    if approval.direction == Direction::BackOut {
        return Ok(None);
    }
    let gone = resolve::retracted(context, &scope, &approval.release.updates).await?;
    let words = gone.iter().map(|(update, since)| {
        let (source, version) = (&update.source, &update.source_version);
        format!("{source} {version} was replaced or taken back by its source at {since}")
    });
    let words: Vec<String> = words.take(NAMED).collect();
    Ok((!words.is_empty()).then(|| words.join("; ")))
}

/// Numbers for transactions as they come.
#[derive(Default)]
struct Transactions {
    digests: Vec<Sha256Digest>,
    numbers: HashMap<Sha256Digest, TransactionNo>,
}

impl Transactions {
    fn number(&mut self, digest: Sha256Digest) -> TransactionNo {
        *self.numbers.entry(digest).or_insert_with(|| {
            self.digests.push(digest);
            TransactionNo(u32::try_from(self.digests.len() - 1).unwrap_or(u32::MAX))
        })
    }
}

fn member(row: &deployment::Member, numbers: &mut Transactions) -> Member {
    Member {
        host: row.host_no,
        deployment: words::deployment(row.intent, row.stage.map(|stage| seen(stage, row))),
        need: match (row.need, row.transaction) {
            (NeedKind::Install, Some(digest)) => Need::Packages(numbers.number(digest)),
            (NeedKind::Nothing, _) => Need::Nothing,
            (NeedKind::NeedsAlso, _) => Need::NeedsAlso,
            (NeedKind::NotBuilt, _) => Need::NotBuilt,
            (NeedKind::Install | NeedKind::Unknown, _) => Need::Unknown,
        },
    }
}

fn seen(stage: OrderStage, row: &deployment::Member) -> Seen {
    Seen {
        stage,
        failure: row.failure,
        may_begin_until: row.may_begin_until,
        withdrawn_at: row.withdrawn_at,
    }
}

/// Hosts by their number; a number that is not given away stands for nobody.
fn by_number(rows: &[PlannedHost]) -> Vec<Host> {
    let nobody = Host {
        standing: Standing::NotActive,
        last_seen: None,
        mode: domain::host::mode::Mode::Monitor,
    };
    let at = |host: HostNo| usize::try_from(host.0).unwrap_or(usize::MAX);
    let count = rows.last().map_or(0, |last| at(last.host_no).saturating_add(1));
    let mut hosts = vec![nobody; count];
    for row in rows {
        hosts[at(row.host_no)] = Host {
            standing: match row.state {
                HostState::Active => Standing::Active,
                HostState::Pending | HostState::Quarantined | HostState::Retired => Standing::NotActive,
            },
            last_seen: row.seen_at,
            mode: words::mode(row.mode),
        };
    }
    hosts
}
