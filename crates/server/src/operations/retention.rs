//! Forgetting: what is older than the settings want is removed in small pieces, so that check-ins go on beside it. What is in
//! force never goes, however old it is.

use super::steady;
use crate::Context;
use crate::operations::upgrade;
use crate::reconcile::Outcome;
use jiff::{SignedDuration, Timestamp};
use std::future::Future;
use store::content_grant::GrantReason;
use store::lease::{self, Fence};
use store::{
    Error, Scope, Tx, Whole, content_grant, coverage, document, finding, host, host_change, host_document,
    session, snapshot, tenant,
};

/// Rows that one transaction removes.
const A_TIME: u32 = 500;
/// Documents that nothing refers to stay for so long, because a host may be about to.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// A run: every kind, every tenant.
///
/// # Errors
/// Of the database, and when another holds the lease.
pub async fn run(ctx: &Context, fence: &Fence) -> Outcome {
    if let Some(since) = steady::stepped(ctx, "retain").await? {
        return Ok(steady::said(since));
    }
    let now = ctx.clock.now();
    let kept = &ctx.settings.file.retention;
    let (findings, documents) = (
        days_before(now, kept.finding_days),
        days_before(now, kept.document_days),
    );
    let snapshots = forget_snapshots(ctx, fence, days_before(now, kept.snapshot_days)).await?;
    let (mut found, mut had) = (0, 0);
    let mut after = None;
    loop {
        let page = ctx
            .db
            .read(move |view| tenant::page(view, &Whole::server(), after.as_ref(), 100))
            .await?;
        for row in &page.rows {
            let scope = Scope::of_tenant(row.id);
            found += forget_findings(ctx, fence, scope, findings).await?;
            had += forget_documents(ctx, fence, scope, documents, now - GRACE).await?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let ended = in_pieces(ctx, fence, || move |tx| session::sweep(tx, &Whole::server(), now)).await?;
    let data = ctx.settings.data.clone();
    let backups = tokio::task::spawn_blocking(move || upgrade::forget_old_backups(&data))
        .await
        .expect("removing backups does not panic")?;
    Ok(format!(
        "{snapshots} snapshots, {found} rows of findings, {had} rows of hosts' history, {ended} log-ins that had ended and \
         {backups} backups of upgrades forgotten"
    ))
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    let span = SignedDuration::from_hours(24 * i64::from(days));
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// Repeats a piece of work under the lease until it finds less than a piece.
async fn in_pieces<F, W>(ctx: &Context, fence: &Fence, piece: F) -> Result<u64, Error>
where
    F: Fn() -> W,
    W: Fn(&mut Tx) -> Result<u64, Error> + Send + 'static,
{
    let mut removed = 0;
    loop {
        let (fence, now, work) = (fence.clone(), ctx.clock.now(), piece());
        let some = under_lease(ctx, fence, now, work).await?;
        removed += some;
        if some < u64::from(A_TIME) {
            return Ok(removed);
        }
    }
}

fn under_lease<'a>(
    ctx: &'a Context,
    fence: Fence,
    now: Timestamp,
    work: impl Fn(&mut Tx) -> Result<u64, Error> + Send + 'static,
) -> impl Future<Output = Result<u64, Error>> + Send + 'a {
    ctx.db.write(move |tx| {
        lease::hold(tx, &Whole::server(), &fence, now)?;
        work(tx)
    })
}

/// Snapshots go with what they kept in the content store.
async fn forget_snapshots(ctx: &Context, fence: &Fence, before: Timestamp) -> Result<u64, Error> {
    in_pieces(ctx, fence, || {
        move |tx| {
            let whole = Whole::server();
            let gone = snapshot::forget_before(tx, &whole, before, A_TIME)?;
            for snapshot in &gone {
                let reference = snapshot.id.0;
                content_grant::take_back(tx, &whole, snapshot.owner, GrantReason::Snapshot, reference)?;
            }
            Ok(gone.len() as u64)
        }
    })
    .await
}

async fn forget_findings(
    ctx: &Context,
    fence: &Fence,
    scope: Scope,
    before: Timestamp,
) -> Result<u64, Error> {
    let chunks = in_pieces(ctx, fence, || {
        move |tx| finding::forget_before(tx, &scope, before, A_TIME)
    });
    let chunks = chunks.await?;
    let holes = in_pieces(ctx, fence, || {
        move |tx| match finding::generation(tx, &scope, Some(before))? {
            Some(oldest) => coverage::forget_before(tx, &scope, oldest.number, A_TIME),
            None => Ok(0),
        }
    });
    let holes = holes.await?;
    let counts = in_pieces(ctx, fence, || {
        move |tx| match finding::generation(tx, &scope, Some(before))? {
            Some(oldest) => host::forget_counts_before(tx, &scope, oldest.number, A_TIME),
            None => Ok(0),
        }
    });
    Ok(chunks + holes + counts.await?)
}

async fn forget_documents(
    ctx: &Context,
    fence: &Fence,
    scope: Scope,
    before: Timestamp,
    idle_before: Timestamp,
) -> Result<u64, Error> {
    let had = in_pieces(ctx, fence, || {
        move |tx| host_document::forget_before(tx, &scope, before, A_TIME)
    });
    let had = had.await?;
    let changes = in_pieces(ctx, fence, || {
        move |tx| host_change::forget_before(tx, &scope, before, A_TIME)
    });
    let changes = changes.await?;
    let idle = in_pieces(ctx, fence, || {
        move |tx| document::sweep(tx, &scope, idle_before, A_TIME).map(|(count, _bytes)| count)
    });
    Ok(had + changes + idle.await?)
}
