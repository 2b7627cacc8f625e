//! Planning, and carrying a plan out: each tenant's world is read, planned, and the steps done in transactions that hold the
//! lease and the generation that the plan was made for. Whoever decides something meanwhile makes the rest of a plan void; it
//! is planned anew.

mod orders;

use super::{Known, KnownChange, RolloutError, known, need};
use crate::agents;
use crate::app::change::{Mark, Record, record_of_server};
use crate::app::permission::{Noun, Verb};
use crate::context::{Context, Work};
use crate::reconcile::Outcome;
use domain::id::{DeploymentId, HostId};
use domain::rollout::plan::{ChangeNo, Plan, Step, plan};
use domain::rollout::waiting::Waiting;
use failpoint::{Point, reach};
use jiff::Timestamp;
use std::collections::BTreeMap;
use store::deployment::{self, Intent, Need};
use store::lease::{self, Fence};
use store::rollout_change::{self, ChangeStaging};
use store::{Change, Error, Scope, Tx, Whole, order};

/// Steps of one transaction.
const STEPS_AT_A_TIME: usize = 200;
/// Hosts that changed whose needs are found out in one run.
const HOSTS_AT_A_TIME: usize = 500;
/// Plans of one tenant in one run: each goes on from what the one before did.
const PLANS_AT_A_TIME: usize = 4;

/// What was done, for whoever looks after the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    ordered: usize,
    withdrawn: usize,
    staging: usize,
}

/// The periodic run: plans for every tenant that has changes to be carried out.
///
/// # Errors
/// [`RolloutError`]; what was done before it stays.
pub async fn run(context: &Context, fence: &Fence) -> Outcome {
    let tenants = context
        .db
        .read(|view| rollout_change::tenants_with_unfinished(view, &Whole::server()))
        .await?;
    if tenants.is_empty() {
        return Ok("nothing to plan".to_owned());
    }
    // Who was last seen when decides who is ordered anything.
    agents::flush(context).await?;
    let mut done = Done::default();
    for tenant in tenants {
        let scope = Scope::of_tenant(tenant);
        for _ in 0..PLANS_AT_A_TIME {
            if !plan_tenant(context, fence, scope, &mut done).await? {
                break;
            }
        }
    }
    Ok(format!(
        "{} orders made, {} taken back, {} changes staged",
        done.ordered, done.withdrawn, done.staging
    ))
}

/// Plans for one tenant and does what the plan says. Whether to plan again at once.
async fn plan_tenant(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    done: &mut Done,
) -> Result<bool, RolloutError> {
    let known = known(context, scope).await?;
    if look_again(context, fence, scope, &known).await? {
        return Ok(true);
    }
    let now = context.clock.now();
    let plan = plan(&known.world, now);
    let by = By {
        context,
        fence,
        scope,
        known: &known,
        now,
    };
    let is_current =
        by.stage(&plan, done).await? && by.withdraw(&plan, done).await? && by.order(&plan, done).await?;
    if !is_current {
        return Ok(true);
    }
    by.finish(&plan).await?;
    Ok(false)
}

/// Finds out anew what hosts need that changed since it was found out. Whether any need is another one.
async fn look_again(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    known: &Known,
) -> Result<bool, RolloutError> {
    let mut noted: Vec<(DeploymentId, need::NeedFound)> = Vec::new();
    for change in &known.changes {
        for member in &change.members {
            let place = usize::try_from(member.host_no.0).unwrap_or(usize::MAX);
            let is_open = member.intent == Intent::Planned && member.order.is_none();
            let host = known.hosts.iter().find(|host| host.host_no == member.host_no);
            let host = match known.hosts.get(place) {
                Some(host) if host.host_no == member.host_no => Some(host),
                _ => host,
            };
            let Some((host, inventory)) = host.and_then(|host| Some((host, host.inventory?))) else {
                continue;
            };
            if !is_open || member.inventory == Some(inventory) || noted.len() == HOSTS_AT_A_TIME {
                continue;
            }
            let found = match member.transaction {
                Some(transaction) => {
                    let direction = change.approval.direction;
                    let read = context.db.attempt_read(move |view| {
                        need::left_of(view, &scope, transaction, inventory, direction)
                    });
                    read.await?
                }
                None => need::again(context, &scope, host.id, &change.approval, Some(inventory)).await?,
            };
            noted.push((member.deployment, found));
        }
    }
    if noted.is_empty() {
        return Ok(false);
    }
    let (fence, now) = (fence.clone(), context.clock.now());
    let noting = context.db.write(move |tx| {
        lease::hold(tx, &Whole::server(), &fence, now)?;
        for (deployment, (need, text)) in &noted {
            note_need(tx, &scope, *deployment, need, text.as_ref(), now)?;
        }
        Ok(())
    });
    noting.await?;
    Ok(true)
}

fn note_need(
    tx: &mut Tx,
    scope: &Scope,
    id: DeploymentId,
    need: &Need,
    text: Option<&(domain::digest::Sha256Digest, String)>,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some((digest, text)) = text {
        deployment::put_transaction(tx, scope, *digest, text, now)?;
        // What is needed now may not be here yet.
        if let Some(row) = deployment::get(tx, scope, id)? {
            rollout_change::note_staging(tx, scope, row.change, ChangeStaging::NotAsked, "")?;
        }
    }
    deployment::note_need(tx, scope, id, need)?;
    Ok(())
}

/// Who carries out which plan.
struct By<'a> {
    context: &'a Context,
    fence: &'a Fence,
    scope: Scope,
    known: &'a Known,
    now: Timestamp,
}

/// A step about one host, with the row that it is about.
#[derive(Clone, Copy, Debug)]
struct About {
    change: ChangeNo,
    deployment: DeploymentId,
    version: i64,
    host: HostId,
    order: Option<u64>,
}

impl By<'_> {
    fn change(&self, number: ChangeNo) -> &KnownChange {
        &self.known.changes[usize::try_from(number.0).expect("a place in a list fits")]
    }

    fn about(&self, change: ChangeNo, host: domain::assess::fleet::HostNo) -> Option<About> {
        let members = &self.change(change).members;
        let place = members
            .binary_search_by_key(&host, |member| member.host_no)
            .ok()?;
        let member = &members[place];
        let hosts = &self.known.hosts;
        let place = hosts.binary_search_by_key(&host, |host| host.host_no).ok()?;
        Some(About {
            change,
            deployment: member.deployment,
            version: member.version,
            host: hosts[place].id,
            order: member.order,
        })
    }

    /// Asks for the files of changes. Whether the plan is still current.
    async fn stage(&self, plan: &Plan, done: &mut Done) -> Result<bool, RolloutError> {
        let asked: Vec<_> = (plan.steps.iter())
            .filter_map(|step| match step {
                Step::Stage { change } => Some(self.change(*change).row.id),
                Step::Withdraw { .. } | Step::Order { .. } => None,
            })
            .collect();
        if asked.is_empty() {
            return Ok(true);
        }
        done.staging += asked.len();
        let (scope, held) = (self.scope, self.hold());
        let is_current = self.context.db.write(move |tx| {
            if !held.hold(tx)? {
                return Ok(false);
            }
            for change in &asked {
                rollout_change::note_staging(tx, &scope, *change, ChangeStaging::Asked, "")?;
            }
            Ok(true)
        });
        let is_current = is_current.await?;
        self.context.wake_ups.nudge(Work::Stage);
        Ok(is_current)
    }

    /// Takes orders back. Whether the plan is still current.
    async fn withdraw(&self, plan: &Plan, done: &mut Done) -> Result<bool, RolloutError> {
        let about: Vec<About> = (plan.steps.iter())
            .filter_map(|step| match *step {
                Step::Withdraw { change, host } => self.about(change, host),
                Step::Stage { .. } | Step::Order { .. } => None,
            })
            .collect();
        for some in about.chunks(STEPS_AT_A_TIME) {
            let (scope, held, now) = (self.scope, self.hold(), self.now);
            let (rows, records) = (some.to_vec(), self.records(some, "withdrawn"));
            let taken = self.context.db.write(move |tx| {
                if !held.hold(tx)? {
                    return Ok(false);
                }
                for row in &rows {
                    let decided =
                        deployment::decide(tx, &scope, row.deployment, row.version, Intent::Planned, None)?;
                    if let (Change::Changed(_), Some(number)) = (decided, row.order) {
                        order::withdraw(tx, &scope, number, now)?;
                    }
                }
                for (mark, record) in &records {
                    record_of_server(tx, mark, &scope, record)?;
                }
                Ok(true)
            });
            if !taken.await? {
                return Ok(false);
            }
            done.withdrawn += some.len();
            self.tell(some).await?;
        }
        Ok(true)
    }

    /// Notes changes of which nothing is left to be done.
    async fn finish(&self, plan: &Plan) -> Result<(), RolloutError> {
        let mut is_over = vec![true; self.known.changes.len()];
        let at = |change: ChangeNo| usize::try_from(change.0).expect("a place in a list fits");
        for waits in &plan.waiting {
            let is_at_rest = matches!(waits.why, Waiting::Failed(_) | Waiting::Over { .. });
            is_over[at(waits.change)] &= is_at_rest;
        }
        for step in &plan.steps {
            let (Step::Stage { change } | Step::Withdraw { change, .. } | Step::Order { change, .. }) = step;
            is_over[at(*change)] = false;
        }
        let changes = self.known.changes.iter().zip(is_over);
        let finished: Vec<_> = changes
            .filter(|(_, is_over)| *is_over)
            .map(|(change, _)| change.row.id)
            .collect();
        if finished.is_empty() {
            return Ok(());
        }
        let (scope, held, now) = (self.scope, self.hold(), self.now);
        let noted = self.context.db.write(move |tx| {
            if held.hold(tx)? {
                for change in &finished {
                    rollout_change::note_finished(tx, &scope, *change, Some(now))?;
                }
            }
            Ok(())
        });
        Ok(noted.await?)
    }

    fn hold(&self) -> Hold {
        Hold {
            fence: self.fence.clone(),
            scope: self.scope,
            generation: self.known.world.generation,
            now: self.now,
        }
    }

    /// One record for each change of these, with how many hosts it concerns.
    fn records(&self, about: &[About], what: &str) -> Vec<(Mark, Record)> {
        let mut counts: BTreeMap<ChangeNo, u64> = BTreeMap::new();
        for row in about {
            *counts.entry(row.change).or_default() += 1;
        }
        let record = |(change, count): (ChangeNo, u64)| {
            let id = self.change(change).row.id;
            let record = Record::of(Verb::Run, Noun::Change, id).with(what, count);
            (Mark::draw(self.context), record)
        };
        counts.into_iter().map(record).collect()
    }

    /// Lets those hosts hear of it whose check-ins are held.
    async fn tell(&self, about: &[About]) -> Result<(), RolloutError> {
        reach(Point::OrdersDecided);
        let hosts: Vec<HostId> = about.iter().map(|row| row.host).collect();
        let open = &self.context.open_orders;
        open.refresh(self.context, self.scope, &hosts).await?;
        self.context.wake_ups.nudge(Work::SealAudit);
        Ok(())
    }
}

/// What a transaction of a plan holds.
struct Hold {
    fence: Fence,
    scope: Scope,
    generation: u64,
    now: Timestamp,
}

impl Hold {
    /// Whether the plan is still of this world; nobody changes it until the transaction ends.
    fn hold(&self, tx: &mut Tx) -> Result<bool, Error> {
        lease::hold(tx, &Whole::server(), &self.fence, self.now)?;
        rollout_change::hold_generation(tx, &self.scope, self.generation)
    }
}
