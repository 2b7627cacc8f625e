//! Writing what agents' check-ins left in memory: signs of life, chains, versions and modes; many hosts in one commit.

use super::registry::{AgentHost, Unwritten};
use crate::context::{Context, Work};
use crate::start::told_to_stop;
use jiff::SignedDuration;
use std::sync::Arc;
use store::{Error, Scope, Tx, Whole, agent_chain, host, liveness};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a sign of life waits at most. What is lost in a crash is made good by the next check-in.
const EVERY: SignedDuration = SignedDuration::from_secs(5);
/// Hosts of one commit.
const HOSTS_AT_A_TIME: usize = 2_000;

/// Writes what is only in memory.
pub async fn flush(context: &Context) -> Result<(), Error> {
    let dirty = context.agents.take_dirty();
    let mut rest = dirty.as_slice();
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(rest.len().min(HOSTS_AT_A_TIME));
        let taken: Vec<_> = batch
            .iter()
            .map(|host| (Arc::clone(host), host.take_unwritten()))
            .collect();
        if let Err(error) = write(context, &taken).await {
            put_back(context, &taken);
            for host in after {
                context.agents.note_dirty(Arc::clone(host));
            }
            return Err(error);
        }
        rest = after;
    }
    Ok(())
}

/// Begins flushing every few seconds, or when nudged, until told to stop.
pub fn spawn(context: &Context, background: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
    let (context, mut stop) = (context.clone(), stop.clone());
    background.spawn(async move {
        loop {
            tokio::select! {
                () = context.clock.wait(EVERY) => {}
                () = context.wake_ups.nudged(Work::FlushLiveness) => {}
                () = told_to_stop(&mut stop) => return,
            }
            if let Err(error) = flush(&context).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    next_step = error.next_step(),
                    "Signs of life could not be written; they are kept in memory."
                );
            }
        }
    });
}

type Batch = [(Arc<AgentHost>, Unwritten)];

/// Writes one batch. A host that was deleted meanwhile must not keep the others from being written: then one by one.
async fn write(context: &Context, batch: &Batch) -> Result<(), Error> {
    match write_all(context, batch).await {
        Err(Error::NoSuchRow(_)) => {}
        outcome => return outcome,
    }
    for one in batch.chunks(1) {
        match write_all(context, one).await {
            Ok(()) | Err(Error::NoSuchRow(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn write_all(context: &Context, batch: &Batch) -> Result<(), Error> {
    let rows: Arc<Vec<(Scope, Unwritten)>> = Arc::new(
        batch
            .iter()
            .map(|(host, unwritten)| (host.scope(), unwritten.clone()))
            .collect(),
    );
    context.db.write(move |tx| write_rows(tx, &rows)).await
}

fn write_rows(tx: &mut Tx, rows: &[(Scope, Unwritten)]) -> Result<(), Error> {
    let whole = Whole::server();
    let signs: Vec<_> = rows
        .iter()
        .filter_map(|(scope, row)| Some((scope.tenant(), row.liveness.clone()?)))
        .collect();
    liveness::note(tx, &whole, &signs)?;
    let chains: Vec<_> = rows
        .iter()
        .filter_map(|(scope, row)| Some((scope.tenant(), row.chain.clone()?)))
        .collect();
    agent_chain::advance(tx, &whole, &chains)?;
    for (scope, row) in rows {
        if let (Some(observed), Some(liveness)) = (&row.observed, &row.liveness) {
            host::note_observed(tx, scope, liveness.host, observed)?;
        }
    }
    Ok(())
}

fn put_back(context: &Context, batch: &Batch) {
    for (host, unwritten) in batch {
        if host.not_written(unwritten) {
            context.agents.note_dirty(Arc::clone(host));
        }
    }
}
