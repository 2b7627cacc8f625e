//! Whether the server can do its work, what it counts, and what is wrong with it.

use serde::Serialize;
use store::backup_log::{self, BackupOutcome};
use store::{Whole, epoch};
use utoipa::ToSchema;

use crate::Context;
use crate::operations::doctor;
use crate::operations::metrics::Metric;

pub use crate::operations::doctor::Check;

/// Does the database answer?
pub async fn is_ready(ctx: &Context) -> bool {
    ctx.db
        .read(|view| epoch::current(view, &Whole::server()))
        .await
        .is_ok()
}

/// What a doctor found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Examined {
    /// What was looked at, the worst first.
    pub checks: Vec<Check>,
}

/// Looks at everything.
pub async fn examine(ctx: &Context) -> Examined {
    Examined {
        checks: doctor::examine(ctx).await,
    }
}

/// The page that a Prometheus server reads. Numbers that are not counted but looked at are looked at now; what cannot be
/// looked at stays as it was.
pub async fn exposition(ctx: &Context) -> String {
    let (metrics, now) = (&ctx.metrics, ctx.clock.now());
    metrics.set(Metric::Held, ctx.wake_ups.held() as u64);
    if let Some(free) = doctor::free_bytes(ctx) {
        metrics.set(Metric::DiskFree, free);
    }
    let left = ctx.authority.first_ending().duration_since(now).as_secs();
    metrics.set(Metric::CertificateSeconds, u64::try_from(left).unwrap_or(0));
    let backups = ctx
        .db
        .read(|view| backup_log::latest(view, &Whole::server(), 20))
        .await;
    let whole = backups.ok().and_then(|backups| {
        let mut whole = backups
            .into_iter()
            .filter(|backup| backup.outcome == BackupOutcome::Complete);
        whole.next()
    });
    if let Some(backup) = whole {
        let made = u64::try_from(backup.started_at.as_second()).unwrap_or(0);
        metrics.set(Metric::LastBackup, made);
    }
    metrics.exposition()
}
