//! Fetching what changes need, before any order is made: each file verified, scanned, recorded and pinned by `catalog`. What
//! could not be had is said with the change, and tried again.

use super::{NAMED, RolloutError, approval_of, retracted, transaction_of};
use crate::catalog::acquire::acquire;
use crate::catalog::resolve::NeededFile;
use crate::context::{Context, Work};
use crate::reconcile::Outcome;
use domain::digest::Sha256Digest;
use std::collections::BTreeSet;
use store::content_grant::{self, ContentGrant, GrantReason};
use store::lease::{self, Fence};
use store::rollout_change::{self, ChangeStaging, RolloutChange};
use store::{Scope, Whole, deployment};

/// The periodic run: fetches for every change that asked for it.
///
/// # Errors
/// [`RolloutError`]; what was fetched before it stays.
pub async fn run(context: &Context, fence: &Fence) -> Outcome {
    let tenants = context
        .db
        .read(|view| rollout_change::tenants_with_unfinished(view, &Whole::server()))
        .await?;
    let (mut staged, mut lacking) = (0, 0);
    for tenant in tenants {
        let scope = Scope::of_tenant(tenant);
        let changes = context
            .db
            .read(move |view| rollout_change::unfinished(view, &scope))
            .await?;
        for change in changes {
            if change.staging != ChangeStaging::Asked {
                continue;
            }
            match stage(context, fence, scope, &change).await? {
                ChangeStaging::Done => staged += 1,
                ChangeStaging::Asked | ChangeStaging::NotAsked => lacking += 1,
            }
        }
    }
    Ok(format!("{staged} changes have their files, {lacking} do not"))
}

async fn stage(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    change: &RolloutChange,
) -> Result<ChangeStaging, RolloutError> {
    let wanted = wanted(context, scope, change).await?;
    let approval = approval_of(change)?;
    let detail = match retracted(context, scope, &approval).await? {
        Some(gone) => gone,
        None => {
            let files: Vec<NeededFile> = wanted.needed.iter().cloned().collect();
            let acquired = acquire(context, fence, &files).await;
            let lacks = acquired.failed.iter().take(NAMED);
            let lacks: Vec<String> = lacks.map(|(digest, why)| format!("{digest}: {why}")).collect();
            // A way back is worth fetching, and no reason not to go forward.
            let former: Vec<NeededFile> = wanted.former.iter().cloned().collect();
            acquire(context, fence, &former).await;
            lacks.join("; ")
        }
    };
    let staging = match detail.is_empty() {
        true => ChangeStaging::Done,
        false => ChangeStaging::Asked,
    };
    let (id, fence, now) = (change.id, fence.clone(), context.clock.now());
    let pinned = wanted.needed.iter().chain(&wanted.former);
    let grants: Vec<ContentGrant> = pinned.map(|file| grant(scope, change, file)).collect();
    let transactions = wanted.transactions;
    let noting = context.db.write(move |tx| {
        lease::hold(tx, &Whole::server(), &fence, now)?;
        content_grant::give(tx, &Whole::server(), &grants, now)?;
        // Others may be wanted since this was begun: then the next run goes on.
        let is_all = deployment::wanted_transactions(tx, &scope, id)? == transactions;
        Ok(is_all && rollout_change::note_staged(tx, &scope, id, staging, &detail)?)
    });
    let staging = match noting.await? {
        true => staging,
        false => ChangeStaging::Asked,
    };
    if staging == ChangeStaging::Done {
        context.wake_ups.nudge(Work::Plan);
    }
    Ok(staging)
}

/// The files of a change.
struct Files {
    transactions: Vec<Sha256Digest>,
    needed: BTreeSet<NeededFile>,
    former: BTreeSet<NeededFile>,
}

async fn wanted(context: &Context, scope: Scope, change: &RolloutChange) -> Result<Files, RolloutError> {
    let id = change.id;
    let read = context.db.attempt_read(move |view| {
        let mut files = Files {
            transactions: deployment::wanted_transactions(view, &scope, id)?,
            needed: BTreeSet::new(),
            former: BTreeSet::new(),
        };
        for digest in &files.transactions {
            let transaction = transaction_of(view, &scope, *digest)?;
            files.needed.extend(transaction.files()?);
            files.former.extend(transaction.former()?);
        }
        Ok::<_, RolloutError>(files)
    });
    read.await
}

fn grant(scope: Scope, change: &RolloutChange, file: &NeededFile) -> ContentGrant {
    ContentGrant {
        owner: scope.owner(),
        digest: file.sha256,
        reason: GrantReason::PackageFile,
        reference: change.id.0,
        size_bytes: file.size_bytes,
    }
}
