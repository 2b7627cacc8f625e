//! Work that nobody asks for: each kind takes no input, is idempotent, runs periodically and when nudged, on one node at a
//! time by a lease. What each of them does lives in its own room; here is who runs, when, and how it went.

mod board;

pub use board::{Board, Run, Standing, chain};

use crate::clock::{draw, draw_below};
use crate::context::{Context, Work};
use crate::operations::{retention, storage, sweep};
use crate::start::millis;
use crate::{app, assess, catalog, rollout};
use domain::id::NodeId;
use jiff::SignedDuration;
use std::future::Future;
use std::pin::Pin;
use store::Whole;
use store::lease::{self, Fence};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a run did, in a few words for people: `2 sources synced`.
pub type Outcome = Result<String, Box<dyn std::error::Error + Send + Sync>>;

/// A run at work.
pub type Doing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One kind of background work.
#[derive(Clone, Copy, Debug)]
pub struct Reconciler {
    /// Its name, which its lease has too.
    pub name: &'static str,
    /// What nudges it.
    pub work: Work,
    /// How long after a run the next one begins at the latest; up to a tenth is taken off by chance, so that nodes and
    /// servers do not all begin at once.
    pub every: SignedDuration,
    /// How long its lease is taken for. A run that takes longer renews it, or loses it and is refused its writes.
    pub lease: SignedDuration,
    /// A run. Whatever it writes, it writes under the fence.
    pub run: fn(Context, Fence) -> Doing,
}

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// The server's background work.
pub const ALL: [Reconciler; 10] = [
    Reconciler {
        name: "sync",
        work: Work::Sync,
        every: SignedDuration::from_secs(60),
        lease: SignedDuration::from_mins(30),
        run: |context, fence| Box::pin(async move { catalog::sync_due(&context, &fence).await }),
    },
    Reconciler {
        name: "assess",
        work: Work::Assess,
        every: SignedDuration::from_secs(60),
        lease: SignedDuration::from_mins(2),
        run: |context, fence| Box::pin(async move { assess::run(&context, &fence).await }),
    },
    Reconciler {
        name: "plan",
        work: Work::Plan,
        every: SignedDuration::from_secs(20),
        lease: SignedDuration::from_mins(5),
        run: |context, fence| Box::pin(async move { rollout::run(&context, &fence).await }),
    },
    Reconciler {
        name: "stage",
        work: Work::Stage,
        every: SignedDuration::from_secs(60),
        lease: SignedDuration::from_mins(30),
        run: |context, fence| Box::pin(async move { rollout::stage_asked(&context, &fence).await }),
    },
    Reconciler {
        name: "fetch-ahead",
        work: Work::FetchAhead,
        every: SignedDuration::from_hours(1),
        lease: SignedDuration::from_hours(1),
        run: |context, fence| Box::pin(async move { catalog::ahead::run(&context, &fence).await }),
    },
    Reconciler {
        name: "seal-audit",
        work: Work::SealAudit,
        every: SignedDuration::from_secs(60),
        lease: SignedDuration::from_mins(2),
        run: |context, fence| {
            Box::pin(async move {
                let sealed = app::audit::seal(&context, &fence).await?;
                Ok(format!("{sealed} records sealed"))
            })
        },
    },
    Reconciler {
        name: "retain",
        work: Work::Retain,
        every: A_DAY,
        lease: SignedDuration::from_hours(1),
        run: |context, fence| Box::pin(async move { retention::run(&context, &fence).await }),
    },
    Reconciler {
        name: "sweep-content",
        work: Work::SweepContent,
        every: A_DAY,
        lease: SignedDuration::from_hours(1),
        run: |context, _fence| Box::pin(async move { sweep::run(&context).await }),
    },
    Reconciler {
        name: "note-storage",
        work: Work::NoteStorage,
        every: A_DAY,
        lease: SignedDuration::from_hours(1),
        run: |context, fence| Box::pin(async move { storage::daily(&context, &fence).await }),
    },
    Reconciler {
        name: "remove-tenants",
        work: Work::RemoveTenants,
        every: SignedDuration::from_hours(1),
        lease: SignedDuration::from_hours(1),
        run: |context, fence| Box::pin(async move { app::tenant::remove::sweep(&context, &fence).await }),
    },
];

/// Begins all background work; each ends when `stopped` says so.
pub fn spawn(context: &Context, background: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let node = node(context);
    for reconciler in ALL {
        background.spawn(keep_running(context.clone(), reconciler, node, stopped.clone()));
    }
}

/// A name for this process as a holder of leases. An embedded database has one server at a time, which takes up the leases
/// that it left behind when it was killed.
pub fn node(context: &Context) -> NodeId {
    if context.db.is_embedded() {
        return NodeId([1; 16]);
    }
    NodeId::new(millis(context.clock.now()), draw(&*context.chance))
}

async fn keep_running(
    context: Context,
    reconciler: Reconciler,
    node: NodeId,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        // Whatever a run does, it does in transactions: one that is left in the middle is taken up by the next.
        tokio::select! {
            _ = run_once(&context, &reconciler, node) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let tenth = u64::try_from(reconciler.every.as_millis() / 10).unwrap_or(0);
        let early = draw_below(&*context.chance, tenth.max(1));
        let early = SignedDuration::from_millis(i64::try_from(early).unwrap_or(0));
        tokio::select! {
            () = context.clock.wait(reconciler.every - early) => {}
            () = context.wake_ups.nudged(reconciler.work) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One run now, if no other node is at it. Whether it ran.
pub async fn run_once(context: &Context, reconciler: &Reconciler, node: NodeId) -> bool {
    let (name, now) = (reconciler.name, context.clock.now());
    let until = now + reconciler.lease;
    let taken = context
        .db
        .write(move |tx| lease::take(tx, &Whole::server(), name, node, now, until))
        .await;
    let fence = match taken {
        Ok(Some(fence)) => fence,
        Ok(None) => {
            context.board.elsewhere(name, now);
            return false;
        }
        Err(error) => {
            context.board.failed(name, now, now, &error);
            return false;
        }
    };
    let outcome = (reconciler.run)(context.clone(), fence).await;
    let ended = context.clock.now();
    match outcome {
        Ok(what) => context.board.done(name, now, ended, what),
        Err(error) => {
            tracing::warn!(work = name, error = %chain(&*error), "Background work \"{name}\" failed.");
            context.board.failed(name, now, ended, &*error);
        }
    }
    true
}
