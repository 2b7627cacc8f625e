//! The whole fleet comes back at once after the server was killed, and stays connected.

use super::agent::Agent;
use super::connection::{Connection, Dialler, Handshake};
use super::measure;
use super::serve::Child;
use super::{Figure, enrol};
use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// File descriptors of a process that are no connections of agents.
const OTHER_FILES: usize = 300;
/// How long an agent waits whom nobody told how long to wait.
const PAUSE: Duration = Duration::from_millis(500);

/// Enrols a fleet of this size, kills the server, and lets all of them come back.
pub(super) async fn come_back(child: &mut Child, fleet: usize) -> Result<Vec<Figure>> {
    let agents = enrol(&Arc::new(child.served().clone()), fleet).await?;
    child.kill()?;
    child.restart()?;
    let served = Arc::new(child.served().clone());
    // Each side has a file for each connection: no more than the system allows are open at once, the others come when the
    // first have been answered and have hung up.
    let room = open_files()?.saturating_sub(OTHER_FILES).min(fleet);
    let places = Arc::new(Semaphore::new(room));
    let began = measure::now();
    let mut tasks = JoinSet::new();
    for agent in agents {
        let (served, places) = (Arc::clone(&served), Arc::clone(&places));
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let dialler = agent.dialler(&served, Handshake::Full)?;
            let place = places.acquire_owned().await?;
            connect(&dialler, &mut agent, place).await
        });
    }
    let (mut open, mut answered) = (VecDeque::new(), 0);
    while let Some(ended) = tasks.join_next().await {
        open.push_back(ended?.context("reconnect")?);
        answered += 1;
        if open.len() == room && answered < fleet {
            open.pop_front();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(vec![
        Figure::new(
            format!("{answered} agents reconnecting, all answered after"),
            seconds,
            "s",
        ),
        Figure::new(
            "reconnecting, server's memory at most",
            child.peak_memory_mib()?,
            "MiB",
        ),
        Figure::new("reconnecting, open at once", open.len() as f64, "connections"),
    ])
}

/// One agent comes back: as often as it is turned away, it comes again when it was asked to. The connection is kept, as an
/// agent that is held keeps it.
async fn connect(
    dialler: &Dialler,
    agent: &mut Agent,
    place: OwnedSemaphorePermit,
) -> Result<(Connection, OwnedSemaphorePermit)> {
    loop {
        let wait = match dialler.dial().await {
            Ok(mut connection) => match agent.check_in(&mut connection).await {
                Ok(_) => {
                    connection.keep();
                    return Ok((connection, place));
                }
                Err(_) => connection.retry_after(),
            },
            Err(_) => PAUSE,
        };
        tokio::time::sleep(wait).await;
    }
}

/// How many files this process may open, as many as the system allows.
fn open_files() -> Result<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raise the number of open files")?;
    Ok(limit.current.map_or(usize::MAX, |files| files as usize))
}
